"""Bits are flipped and files cut by the thousand: all of it is found, and where."""

import random
from pathlib import Path

from curate.audit.verify import verify
from tests.audit.conftest import Mix


def every_file(folder: Path) -> list[Path]:
    """One path for each inode of the mix."""
    inodes = {p.stat().st_ino: p for p in sorted(folder.rglob("*")) if p.is_file()}
    return sorted(inodes.values())


def names_of(folder: Path, path: Path) -> set[str]:
    """All names of a file in the mix."""
    return {
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.is_file() and p.stat().st_ino == path.stat().st_ino
    }


def test_every_flipped_bit_is_found_and_located(make: Mix, scale: int) -> None:
    """2,000 flips, shared evenly among the kinds of files: each is found, in its file or span."""
    folder = make()
    paths = every_file(folder)
    draw = random.Random(1)
    for number in range(2_000 * scale):
        path = paths[number % len(paths)]
        data = path.read_bytes()
        at, bit = draw.randrange(len(data)), 1 << draw.randrange(8)
        path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        semantic = number % 5 == 0
        report = verify(folder, read_data=True, semantic=semantic, threads=1)
        found = {f.file for f in report.findings}

        assert found & names_of(folder, path), f"bit {bit} of byte {at} of {path.name}"
        if semantic and path.suffix in (".npy", ".bin", ".ds"):
            assert {"span"} & {f.kind for f in report.findings}
        path.write_bytes(data)
    assert () == verify(folder, read_data=True, semantic=True).findings


def test_every_truncation_is_found_and_located(make: Mix, scale: int) -> None:
    """500 truncations of any file at any length: each is found, in its file."""
    folder = make()
    paths = every_file(folder)
    draw = random.Random(2)
    for number in range(500 * scale):
        path = paths[number % len(paths)]
        data = path.read_bytes()
        keep = draw.randrange(len(data))
        path.write_bytes(data[:keep])
        report = verify(folder, read_data=True, semantic=number % 5 == 0, threads=1)

        assert {f.file for f in report.findings} & names_of(folder, path), f"{path.name} to {keep}"
        path.write_bytes(data)
    assert () == verify(folder, read_data=True, semantic=True).findings
