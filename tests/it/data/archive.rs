//! Archives from strangers: what is in them comes to lie in the folder, whole, or nothing does.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use netadapt::data::examine::Kind;
use netadapt::data::import::ImportError;
use netadapt::data::import::archive::{Caps, Unpacked, tar, zip};
use tar::{Builder, EntryType, Header};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::Folder;

/// A tar archive of these files, links (`->` and the target for its content) and folders (`/` at the end).
fn tarred(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = Header::new_gnu();
        let link = content.strip_prefix(b"->").or_else(|| content.strip_prefix(b"=>"));
        let (kind, size) = match link {
            Some(_) if content[0] == b'-' => (EntryType::Symlink, 0),
            Some(_) => (EntryType::Link, 0),
            None if name.ends_with('/') => (EntryType::Directory, 0),
            None => (EntryType::Regular, content.len() as u64),
        };
        header.set_entry_type(kind);
        header.set_size(size);
        if let Some(link) = link {
            header.set_link_name(std::str::from_utf8(link).expect("ASCII")).expect("it is short");
        }
        // Not by the crate's own way, which would refuse names that lead out.
        let field = &mut header.as_mut_bytes()[..100];
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        let bytes = if size == 0 { &[][..] } else { content };
        builder.append(&header, bytes).expect("memory can be written to");
    }
    builder.into_inner().expect("memory can be written to")
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}

/// A zip archive likewise, without hard links.
fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in entries {
        match content.strip_prefix(b"->") {
            Some(link) => {
                writer.add_symlink(*name, std::str::from_utf8(link).expect("ASCII"), options).expect("a new name");
            }
            None => {
                writer.start_file(*name, options).expect("a new name");
                writer.write_all(content).expect("memory can be written to");
            }
        }
    }
    writer.finish().expect("memory can be written to").into_inner()
}

/// Unpacks `bytes` into `out` in a folder of its own, and checks that nothing else came to be, nor half of it.
fn unpack(bytes: &[u8], is_zip: bool, caps: Caps, look: impl FnOnce(&Path)) -> Result<Unpacked, String> {
    let folder = Folder::new();
    let source = folder.file("inner/archive", bytes);
    let out = folder.root().join("inner/out");
    let unpacked = if is_zip { zip } else { tar }(&source, &out, caps, &mut |_| ());
    assert_eq!(fs::read_dir(folder.root()).expect("a folder").count(), 1, "nothing is beside the folder");
    let beside = fs::read_dir(folder.root().join("inner")).expect("a folder").count();
    assert_eq!((beside, out.exists()), if unpacked.is_ok() { (2, true) } else { (1, false) });
    look(&out);
    unpacked.map_err(|error| error.to_string())
}

const SET: [(&str, &[u8]); 6] = [
    ("set/", b""),
    ("set/a/1.png", b"one"),
    ("./set/a/2.png", b"two"),
    ("set/b/3 \u{e9}.png", b""),
    ("set/.DS_Store", b"hidden"),
    ("__MACOSX/set/a/1.png", b"a Mac's notes"),
];

#[test]
fn archives_come_out_as_they_went_in() {
    let look = |out: &Path| {
        assert_eq!(fs::read(out.join("set/a/1.png")).unwrap(), b"one");
        assert_eq!(fs::read(out.join("set/a/2.png")).unwrap(), b"two");
        assert_eq!(fs::read(out.join("set/b/3 \u{e9}.png")).unwrap(), b"");
        assert!(!out.join("set/.DS_Store").exists() && !out.join("__MACOSX").exists());
    };
    let plain = tarred(&SET);
    for (bytes, is_zip) in [(plain.clone(), false), (gzipped(&plain), false), (zipped(&SET[1..]), true)] {
        let unpacked = unpack(&bytes, is_zip, Caps::default(), look).unwrap();
        assert_eq!((unpacked.files, unpacked.bytes, unpacked.findings.len()), (3, 6, 0));
        assert_eq!(unpacked.top.into_iter().collect::<Vec<_>>(), ["set"]);
    }
    // Names longer than a header's field, as GNU and as POSIX write them.
    let long = format!("set/{}/{}.png", "d".repeat(90), "n".repeat(120));
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(3);
    builder.append_data(&mut header, &long, &b"gnu"[..]).unwrap();
    let gnu = builder.into_inner().unwrap();
    let mut builder = Builder::new(Vec::new());
    builder.append_pax_extensions([("path", long.as_bytes()), ("mtime", b"1.5")]).unwrap();
    let mut header = Header::new_ustar();
    header.set_size(3);
    builder.append_data(&mut header, "short", &b"pax"[..]).unwrap();
    for (bytes, content) in [(gnu, b"gnu"), (builder.into_inner().unwrap(), b"pax")] {
        unpack(&bytes, false, Caps::default(), |out| assert_eq!(fs::read(out.join(&long)).unwrap(), content)).unwrap();
    }
}

#[test]
fn links_are_left_out_and_named() {
    let entries: [(&str, &[u8]); 4] =
        [("a.png", b"one"), ("link", b"->/etc/passwd"), ("link/x.png", b"through"), ("hard", b"=>/etc/passwd")];
    let look = |out: &Path| {
        assert!(out.join("link").symlink_metadata().unwrap().is_dir(), "a folder, and no link");
        assert!(out.join("hard").symlink_metadata().is_err());
    };
    let unpacked = unpack(&tarred(&entries), false, Caps::default(), look).unwrap();
    let findings: Vec<_> = unpacked.findings.iter().map(|finding| (finding.file.as_str(), finding.kind)).collect();
    assert_eq!(findings, [("link", Kind::Link), ("hard", Kind::Link)]);
    let look = |out: &Path| assert!(out.join("link").symlink_metadata().unwrap().is_dir());
    let unpacked = unpack(&zipped(&entries[..3]), true, Caps::default(), look).unwrap();
    assert_eq!((unpacked.files, unpacked.findings.len()), (2, 1));
}

#[test]
fn hostile_and_damaged_archives_leave_nothing() {
    let good: (&str, &[u8]) = ("a.png", b"one");
    let refused = |bytes: &[u8], is_zip: bool, words: &str| {
        let error = unpack(bytes, is_zip, Caps::default(), |_| ()).expect_err(words);
        assert!(error.contains(words), "{words}: {error}");
    };
    for name in ["../x.png", "/x.png", "a/../../x.png", "a//x.png", "a/..", "..", "b\\..\\..\\x.png", "/"] {
        refused(&tarred(&[good, (name, b"out")]), false, "outside the folder");
        refused(&zipped(&[good, (name, b"out")]), true, "outside the folder");
        refused(&tarred(&[good, (name, b"->/etc/passwd")]), false, "outside the folder");
    }
    refused(&tarred(&[("../", b""), good]), false, "outside the folder");
    refused(&tarred(&[good, good]), false, "'a.png' twice");
    refused(&tarred(&[good, ("./a.png", b"other")]), false, "'a.png' twice");
    refused(&zipped(&[good, ("./a.png", b"other")]), true, "'a.png' twice");
    // The same name twice in the list at the end, which the writer itself refuses to write.
    let mut twice = zipped(&[("a.png", b"one"), ("b.png", b"two")]);
    let at: Vec<usize> = (0..twice.len() - 5).filter(|&i| &twice[i..i + 5] == b"b.png").collect();
    at.into_iter().for_each(|at| twice[at] = b'a');
    refused(&twice, true, "a name twice");
    // A file that is a folder of another one: the disk refuses.
    assert!(unpack(&tarred(&[("a", b"one"), ("a/b.png", b"two")]), false, Caps::default(), |_| ()).is_err());
    refused(&tarred(&[]), false, "holds no files");
    refused(&zipped(&[]), true, "holds no files");
    for bytes in [&b""[..], b"hello", &[0x1f, 0x8b], &[0; 511]] {
        let error = unpack(bytes, false, Caps::default(), |_| ()).unwrap_err();
        assert!(error.contains("no tar archive") || error.contains("cut short"), "{error}");
        refused(bytes, true, "no zip archive");
    }
    refused(&zipped(&[good]), false, "no tar archive");
    refused(&tarred(&[good]), true, "no zip archive");
    // Bytes changed on the way are noticed by their sum.
    let mut changed = zipped(&[("a.png", &[7; 4000])]);
    changed[45] ^= 1;
    assert!(unpack(&changed, true, Caps::default(), |_| ()).is_err());
}

#[test]
fn archives_cut_anywhere_are_refused() {
    let noise: Vec<u8> = (0..3000u32).map(|i| ((i * i) >> 3) as u8).collect();
    let entries: [(&str, &[u8]); 3] = [("a.png", &noise), ("b/c.png", &noise[..700]), ("d.png", b"end")];
    let plain = tarred(&entries);
    // All that a tar ends with is 1,024 zeros; with half of them it is whole.
    let whole = plain.len() - 1024;
    for (bytes, is_zip, most) in
        [(plain.clone(), false, whole), (gzipped(&plain), false, usize::MAX), (zipped(&entries), true, usize::MAX)]
    {
        for length in (0..bytes.len()).step_by(97).chain([512, 1024, bytes.len() - 1]).filter(|&length| length <= most)
        {
            assert!(unpack(&bytes[..length], is_zip, Caps::default(), |_| ()).is_err(), "{length} of {}", bytes.len());
        }
    }
}

#[test]
fn bombs_and_crowds_are_refused() {
    let zeros = vec![0; 80 << 20];
    let bomb = gzipped(&tarred(&[("a.png", &zeros)]));
    let zip_bomb = zipped(&[("a.png", &zeros)]);
    assert!(bomb.len().max(zip_bomb.len()) < zeros.len() / 150, "they are bombs");
    for (bytes, is_zip) in [(&bomb, false), (&zip_bomb, true)] {
        let error = unpack(bytes, is_zip, Caps::default(), |_| ()).unwrap_err();
        assert!(error.contains("more than 64 MiB"), "{error}");
        let caps = Caps { ratio: 1500, ..Caps::default() };
        assert!(unpack(bytes, is_zip, caps, |_| ()).is_ok(), "whoever trusts it may");
    }
    // Many small ones add up, whatever each says.
    let small: Vec<(String, &[u8])> = (0..40).map(|i| (format!("{i}.png"), &zeros[..100_000])).collect();
    let small: Vec<(&str, &[u8])> = small.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    for (bytes, is_zip) in [(gzipped(&tarred(&small)), false), (zipped(&small), true)] {
        let caps = Caps { free: 1 << 20, ratio: 50, ..Caps::default() };
        assert!(unpack(&bytes, is_zip, caps, |_| ()).unwrap_err().contains("too much for its size"));
        let caps = Caps { entries: 39, ..Caps::default() };
        assert!(unpack(&bytes, is_zip, caps, |_| ()).unwrap_err().contains("more than 39 entries"));
        let caps = Caps { bytes: 2 << 20, ..Caps::default() };
        assert!(unpack(&bytes, is_zip, caps, |_| ()).unwrap_err().contains("more than 2 MiB"));
        assert_eq!(unpack(&bytes, is_zip, Caps::default(), |_| ()).unwrap().files, 40);
    }
    // A name of 20 MB is not read.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(20 << 20);
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, &zeros[..20 << 20]).unwrap();
    let bytes = gzipped(&builder.into_inner().unwrap());
    let (held, error) = crate::memory::peak(|| unpack(&bytes, false, Caps::default(), |_| ()).unwrap_err());
    assert!(error.contains("a note of 20971520 bytes") && held < 1 << 20, "{held}: {error}");
}

#[test]
fn the_program_unpacks_and_refuses() {
    let folder = Folder::new();
    let (good, bad) = (folder.file("good.zip", &zipped(&SET[1..])), folder.file("bad.zip", b"no archive"));
    let out = folder.root().join("out");
    let import = |archive: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt-data"));
        command.args(["import", "zip"]).arg(archive).arg("-o").arg(&out).output().unwrap()
    };
    let refused = import(&bad);
    assert_eq!((refused.status.code(), out.exists()), (Some(5), false));
    let output = import(&good);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("3 files, 0.0 MB") && text.contains("out/set"), "{text}");
    let source = folder.root().join("good.zip");
    let again = zip(&source, &out, Caps::default(), &mut |_| ()).unwrap_err();
    assert!(matches!(again, ImportError::Exists { .. }), "{again}");
}
