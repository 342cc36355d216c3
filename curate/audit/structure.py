"""
Turn a mix folder into findings about names, links and sizes; of contents it reads only the sums.

What it asks: is every file that the manifest and SHA256SUMS name there, and nothing else; is every
link one that docs/format.md §5 allows; has every shard and sidecar the size its counts imply.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from curate.audit import arithmetic, sums
from curate.audit.findings import Finding
from curate.audit.opened import SPANS, Opened

SUFFIXES = (".npy", ".bin", ".ds", ".idx", ".csv.gz", ".ds.index", ".ds.metadata")
LINKED = (".bin", ".ds")


@dataclass
class Listing:
    """The files of a mix folder that may be read, and what SHA256SUMS says of them."""

    files: dict[str, os.stat_result] = field(default_factory=dict)  # regular, or an allowed link's
    sums: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def look(folder: Path, mix: Opened | None) -> Listing:
    """Walk the folder and compare it with SHA256SUMS and, where there is one, the manifest."""
    found = Listing()
    _walk(folder, folder, found)
    if sums.NAME in found.files:
        found.sums, wrong = sums.parse((folder / sums.NAME).read_bytes())
        found.findings += wrong
    else:
        found.findings.append(Finding("missing", sums.NAME, "", "is not there"))
    found.findings += _names(found)
    if mix is not None:
        found.findings += _shards(mix, found)
        found.findings += _totals(folder, mix, found)
        found.findings += arithmetic.check(mix)
    return found


def _walk(folder: Path, top: Path, found: Listing) -> None:
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        name = Path(entry.path).relative_to(top).as_posix()
        shown = name.encode("utf-8", "replace").decode()
        if entry.is_symlink():
            wrong = _link(Path(entry.path), name)
            if wrong:
                found.findings.append(Finding("link", shown, "", wrong))
            else:
                found.files[name] = os.stat(entry.path)
        elif entry.is_dir():
            _walk(Path(entry.path), top, found)
        elif stat.S_ISREG(entry.stat().st_mode):
            found.files[name] = entry.stat()
        else:
            found.findings.append(Finding("link", shown, "", "is neither a file nor a folder"))


def _link(path: Path, name: str) -> str:
    """What is wrong with a symbolic link; empty for `shards/<stem>.bin|.ds` → `<stem>.npy`."""
    target = os.readlink(path)
    stem = path.name.removesuffix(".bin").removesuffix(".ds")
    if Path(name).parent.as_posix() != "shards" or stem == path.name:
        return "a symbolic link has no place here"
    if target != f"{stem}.npy":
        return f"links to something other than {stem}.npy beside it"
    beside = path.parent / target
    if not beside.is_file() or beside.is_symlink():
        return f"links to {target}, which is not a plain file"
    return ""


def _names(found: Listing) -> Iterator[Finding]:
    for name in sorted(found.sums.keys() - found.files.keys()):
        if not any(f.file == name for f in found.findings):
            yield Finding("missing", name, "", "is in SHA256SUMS but not in the folder")
    for name in sorted(found.files.keys() - found.sums.keys() - {sums.NAME}):
        yield Finding("extra", name, "", "is in the folder but not in SHA256SUMS")


def _shards(mix: Opened, found: Listing) -> Iterator[Finding]:
    named = {f"shards/{s['name']}{suffix}" for s in mix.shards for suffix in SUFFIXES}
    for name in sorted(named - found.files.keys() - found.sums.keys()):
        yield Finding("missing", name, "", "belongs to a shard of the manifest, but is not there")
    present = found.files.keys() | found.sums.keys()
    for name in sorted(n for n in present if n.startswith("shards/") and n not in named):
        yield Finding("extra", name, "", "belongs to no shard of the manifest")
    for shard in mix.shards:
        stem = f"shards/{shard['name']}"
        n = shard["n_spans"]
        sizes = {
            ".npy": shard["n_tokens"] * mix.width,
            ".idx": 42 + 20 * n,
            ".ds.index": 8 * n,
        }
        sizes |= dict.fromkeys(LINKED, sizes[".npy"])
        for suffix, size in sizes.items():
            status = found.files.get(stem + suffix)
            if status is not None and status.st_size != size:
                what = f"{status.st_size:,} bytes, but its counts imply {size:,}"
                yield Finding("size", stem + suffix, "", what)
        for suffix in ("", *LINKED):
            digest = found.sums.get(f"{stem}{suffix or '.npy'}")
            if digest is not None and digest != shard["sha256"]:
                what = f"SHA256SUMS says {digest[:16]}…, the manifest {shard['sha256'][:16]}…"
                yield Finding("digest", f"{stem}{suffix or '.npy'}", "", what)


def _totals(folder: Path, mix: Opened, found: Listing) -> Iterator[Finding]:
    for name in (SPANS, sums.MANIFEST):
        if name not in found.files:
            yield Finding("missing", name, "", "every mix has one")
    said = mix.manifest["files"]
    names = found.files.keys() - {sums.NAME, sums.MANIFEST}
    n_bytes = sum(found.files[name].st_size for name in names)
    for what, count, expected in (
        ("files", len(names), said["n_files"]),
        ("bytes", n_bytes, said["n_bytes"]),
    ):
        if count != expected:
            line = f"the folder has {count:,} {what}, the manifest says {expected:,}"
            yield Finding("size", ".", "", line)
    if sums.without_manifest(found.sums) != said["sums_sha256"]:
        yield Finding("sums", sums.NAME, "", "its lines are not those the manifest was made over")
    own = hashlib.sha256((folder / sums.MANIFEST).read_bytes()).hexdigest()
    if found.sums.get(sums.MANIFEST, own) != own:
        yield Finding("sums", sums.NAME, "last line", "is not the digest of manifest.json")
    tokenizer = found.sums.get("tokenizer.json")
    if tokenizer not in (None, mix.content["tokenizer"]["sha256"]):
        yield Finding("digest", "tokenizer.json", "", "is not the manifest's tokenizer")
