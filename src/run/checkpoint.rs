//! Checkpoints of trainings: files of named sections, each with its length and checksum.
//!
//! The three newest of a training are kept, so that a damaged one costs half a minute of training and no more.

use super::folder::{Folder, FolderError};
use sha2::{Digest as _, Sha256};

/// First bytes of a file.
const MAGIC: &[u8; 8] = b"NADAPTCK";
/// Version of the format.
const VERSION: u32 = 1;
/// Bytes of a checksum (SHA-256).
const SUM: usize = 32;
/// Files that are kept of each training.
const KEPT: usize = 3;

/// A named part of a checkpoint.
pub(super) type Section = (String, Vec<u8>);

/// A file: magic, version, number of sections; of each the length of its name, the name, the length of its
/// content, the checksum of name and content, the content. Numbers are little-endian.
pub(super) fn encode(sections: &[Section]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((sections.len() as u32).to_le_bytes());
    for (name, content) in sections {
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(checksum(name, content));
        bytes.extend(content);
    }
    bytes
}

fn checksum(name: &str, content: &[u8]) -> [u8; SUM] {
    Sha256::new().chain_update(name).chain_update(content).finalize().into()
}

/// The sections of a file, or the byte at which it is damaged and how.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Section>, (usize, String)> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.take(MAGIC.len(), "the name of the format")? != MAGIC {
        return Err((0, "this is no checkpoint".into()));
    }
    let version = reader.u32("the version")?;
    if version != VERSION {
        return Err((MAGIC.len(), format!("version {version} of the format, this program reads {VERSION}")));
    }
    let count = reader.u32("the number of sections")?;
    let mut sections = Vec::new();
    for _ in 0..count {
        let start = reader.at;
        let length = reader.u32("the length of a name")? as usize;
        let name = String::from_utf8_lossy(reader.take(length, "a name")?).into_owned();
        let length = usize::try_from(reader.u64("the length of a section")?).unwrap_or(usize::MAX);
        let sum = reader.take(SUM, "a checksum")?;
        let content = reader.take(length, "a section")?;
        if sum != checksum(&name, content) {
            return Err((start, format!("the checksum of section `{name}` does not match")));
        }
        sections.push((name, content.to_vec()));
    }
    if reader.at < bytes.len() {
        return Err((reader.at, "there is more than there should be".into()));
    }
    Ok(sections)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], (usize, String)> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let part = end.map(|end| &self.bytes[self.at..end]).ok_or((self.at, format!("it ends within {what}")))?;
        self.at += length;
        Ok(part)
    }

    fn u32(&mut self, what: &str) -> Result<u32, (usize, String)> {
        let bytes = self.take(4, what)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn u64(&mut self, what: &str) -> Result<u64, (usize, String)> {
        let bytes = self.take(8, what)?;
        Ok(u64::from_le_bytes(std::array::from_fn(|i| bytes[i])))
    }
}

/// The checkpoints of one training.
pub(super) struct Checkpoints<'a> {
    folder: &'a Folder,
    training: String,
    next: u32,
}

/// What was found when a training is taken up again.
pub(super) struct Newest {
    /// Sections of the newest file that is whole.
    pub(super) sections: Option<Vec<Section>>,
    /// A sentence for each damaged file that is newer.
    pub(super) damaged: Vec<String>,
}

impl<'a> Checkpoints<'a> {
    pub(super) fn new(folder: &'a Folder, training: &str) -> Result<Self, FolderError> {
        let mut checkpoints = Self { folder, training: training.to_owned(), next: 0 };
        checkpoints.next = checkpoints.numbers()?.last().map_or(0, |last| last + 1);
        Ok(checkpoints)
    }

    fn name(&self, number: u32) -> String {
        format!("state/{}.{number:06}.checkpoint", self.training)
    }

    /// Numbers of the files that are there, ascending.
    fn numbers(&self) -> Result<Vec<u32>, FolderError> {
        let start = format!("{}.", self.training);
        let number = |name: &String| name.strip_prefix(&start)?.strip_suffix(".checkpoint")?.parse().ok();
        Ok(self.folder.files("state")?.iter().filter_map(number).collect())
    }

    /// The newest that is whole.
    pub(super) fn newest(&self) -> Result<Newest, FolderError> {
        let mut damaged = Vec::new();
        for number in self.numbers()?.into_iter().rev() {
            let name = self.name(number);
            match decode(&self.folder.read(&name)?) {
                Ok(sections) => return Ok(Newest { sections: Some(sections), damaged }),
                Err((byte, problem)) => {
                    damaged.push(format!("{name} is damaged at byte {byte}: {problem}; the one before it is used"));
                }
            }
        }
        Ok(Newest { sections: None, damaged })
    }

    /// Writes a new one, then removes the oldest.
    pub(super) fn save(&mut self, sections: &[Section]) -> Result<(), FolderError> {
        self.folder.write(&self.name(self.next), &encode(sections))?;
        self.next += 1;
        let numbers = self.numbers()?;
        for number in &numbers[..numbers.len().saturating_sub(KEPT)] {
            self.folder.remove(&self.name(*number))?;
        }
        Ok(())
    }

    /// Removes all of them: they are of another network.
    pub(super) fn discard(&mut self) -> Result<(), FolderError> {
        for number in self.numbers()? {
            self.folder.remove(&self.name(number))?;
        }
        self.next = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        encode(&[("values".into(), vec![1, 2, 3, 4, 5]), ("empty".into(), Vec::new()), ("more".into(), vec![7; 300])])
    }

    #[test]
    fn sections_survive_their_file() {
        let sections = decode(&file()).unwrap();
        assert_eq!(
            sections.iter().map(|s| (s.0.as_str(), s.1.len())).collect::<Vec<_>>(),
            [("values", 5), ("empty", 0), ("more", 300)]
        );
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let whole = file();
        for at in 0..whole.len() {
            for bit in [1, 128] {
                let mut changed = whole.clone();
                changed[at] ^= bit;
                assert!(decode(&changed).is_err(), "byte {at}");
            }
            assert!(decode(&whole[..at]).is_err(), "cut at {at}");
        }
        let mut longer = whole;
        longer.push(0);
        assert!(decode(&longer).is_err());
    }
}
