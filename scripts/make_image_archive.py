#!/usr/bin/env python3
"""Makes the small real set of the quick start: a subset of Fashion-MNIST in one archive.

    make_image_archive.py SOURCE [OUTPUT]

SOURCE holds train/<class>/*.png and test/<class>/*.png, for example the images of the Debian
package dataset-fashion-mnist written out as PNG files. OUTPUT is a folder (assets/images next to
this script by default); it receives fashion-2k.tar.gz.

The archive depends on the source files and on the numbers below only: which images are taken
follows from a hash of the seed and their names, and the archive has no times and no owners.
"""

import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path

NAME = "fashion-2k"
SEED = 1
IMAGES_PER_CLASS = {"train": 160, "test": 40}
CLASSES = 10
MOST_BYTES = 2 * 1024 * 1024

LICENCE = """\
The MIT License (MIT)

Copyright © 2017 Zalando SE, https://tech.zalando.com

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and \
associated documentation files (the "Software"), to deal in the Software without restriction, \
including without limitation the rights to use, copy, modify, merge, publish, distribute, \
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is \
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or \
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT \
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND \
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, \
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, \
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def chosen(folder: Path, split: str, count: int) -> list[Path]:
    """The `count` images of a class folder with the lowest hashes, in the order of their names."""

    def rank(path: Path) -> bytes:
        key = f"{SEED}/{split}/{folder.name}/{path.name}"
        return hashlib.sha256(key.encode()).digest()

    images = sorted(folder.glob("*.png"))
    if len(images) < count:
        sys.exit(f"{folder} has {len(images)} images, {count} are needed")
    return sorted(sorted(images, key=rank)[:count])


def members(source: Path) -> dict[str, bytes]:
    """Names in the archive and their contents."""
    files = {f"{NAME}/LICENCE": LICENCE.encode()}
    for split, count in IMAGES_PER_CLASS.items():
        folders = sorted(path for path in (source / split).glob("*") if path.is_dir())
        if len(folders) != CLASSES:
            sys.exit(f"{source / split} has {len(folders)} class folders, {CLASSES} are needed")
        for folder in folders:
            for number, image in enumerate(chosen(folder, split, count)):
                files[f"{NAME}/{split}/{folder.name}/{number:04}.png"] = image.read_bytes()
    return files


def archive(files: dict[str, bytes]) -> bytes:
    """A compressed tar archive of `files` in the order of their names."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name in sorted(files):
                # A fresh entry has time, owner and group 0 and no names for them.
                entry = tarfile.TarInfo(name)
                entry.size = len(files[name])
                entry.mode = 0o644
                tar.addfile(entry, io.BytesIO(files[name]))
    return packed.getvalue()


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    output = Path(__file__).resolve().parent.parent / "assets" / "images"
    if len(sys.argv) == 3:
        output = Path(sys.argv[2])
    packed = archive(members(Path(sys.argv[1])))
    if len(packed) > MOST_BYTES:
        sys.exit(f"the archive has {len(packed)} bytes, at most {MOST_BYTES} are allowed")
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{NAME}.tar.gz"
    path.write_bytes(packed)
    print(f"{path}: {len(packed)} bytes, sha256 {hashlib.sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main()
