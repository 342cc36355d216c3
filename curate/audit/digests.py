"""
Turn the files of a mix into their sha256, each inode read once, and compare them with what is said.

`.npy`, `.bin` and `.ds` are usually one inode: it is read once and answers for all three names.
Threads share the work, as hashing releases the interpreter's lock.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from curate.audit import sums
from curate.audit.findings import Finding
from curate.audit.opened import Opened
from curate.audit.structure import Listing

BLOCK = 4 * 1024 * 1024
Advance = Callable[[int], None]


def digests(
    folder: Path, names: Iterable[str], listing: Listing, threads: int, advance: Advance
) -> dict[str, str]:
    """Name → sha256, or "" where the file cannot be read; `advance` hears the bytes read."""
    by_inode: dict[tuple[int, int], list[str]] = {}
    for name in sorted(names):
        status = listing.files[name]
        by_inode.setdefault((status.st_dev, status.st_ino), []).append(name)
    firsts = sorted(by_inode.values(), key=lambda group: -listing.files[group[0]].st_size)
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda group: _digest(folder / group[0], advance), firsts))
    return {name: sha for group, sha in zip(firsts, found, strict=True) for name in group}


def _digest(path: Path, advance: Advance) -> str:
    state = hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK))
    try:
        with open(path, "rb", buffering=0) as file:
            while n := file.readinto(buffer):
                state.update(buffer[:n])
                advance(n)
    except OSError:
        return ""
    return state.hexdigest()


def subset(names: Iterable[str], listing: Listing, part: int, parts: int) -> list[str]:
    """The `part`-th (from 1) of `parts` sets of names; an inode's names are in one set."""
    seen: dict[tuple[int, int], int] = {}
    chosen = []
    for name in sorted(names):
        status = listing.files[name]
        number = seen.setdefault((status.st_dev, status.st_ino), len(seen))
        if number % parts == part - 1:
            chosen.append(name)
    return chosen


def bytes_of(names: Iterable[str], listing: Listing) -> int:
    """Bytes to read for these names: each inode once."""
    statuses = {(s.st_dev, s.st_ino): s.st_size for s in (listing.files[n] for n in names)}
    return sum(statuses.values())


def compare(
    folder: Path, found: dict[str, str], listing: Listing, mix: Opened | None
) -> Iterator[Finding]:
    """A finding for every name whose bytes are not those of SHA256SUMS or of the manifest."""
    shards = {}
    if mix is not None:
        shards = {f"shards/{shard['name']}.npy": shard["sha256"] for shard in mix.shards}
        shards["tokenizer.json"] = mix.content["tokenizer"]["sha256"]
    wrong = {n for n, sha in found.items() if n in listing.sums and sha != listing.sums[n]}
    innocent = _sums_is_to_blame(found, listing, mix, wrong)
    for name in sorted(wrong | {n for n, sha in found.items() if n in shards and sha != shards[n]}):
        if found[name] == "":
            yield Finding("digest", name, "", "cannot be read")
        elif name in innocent:
            line = list(listing.sums).index(name) + 1
            what = f"its digest of {name} was changed; the file itself is whole"
            yield Finding("sums", sums.NAME, f"line {line}", what)
        elif name == sums.MANIFEST:
            yield Finding("digest", name, "", "is not the manifest that SHA256SUMS was closed over")
        else:
            said = shards.get(name, listing.sums.get(name, ""))
            what = f"its bytes are {found[name][:16]}…, they were {said[:16]}…"
            yield Finding("digest", name, "", what)


def _sums_is_to_blame(
    found: dict[str, str], listing: Listing, mix: Opened | None, wrong: set[str]
) -> set[str]:
    """
    The names whose line, not whose bytes, was changed.

    The manifest holds a digest of SHA256SUMS: where the digests as computed restore it, the files
    are whole and the lines are not. Of its own line the manifest says nothing: either may be wrong.
    """
    if mix is None:
        return set()
    restored = {**listing.sums, **{name: found[name] for name in wrong}}
    if sums.without_manifest(restored) != mix.manifest["files"]["sums_sha256"]:
        return set()
    return wrong - {sums.MANIFEST}


def n_threads() -> int:
    """Threads that hashing may use: the processors this process may run on."""
    return max(1, len(os.sched_getaffinity(0)))
