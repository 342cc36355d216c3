"""
Turn documents that were taken down into digests that later builds recognise and nobody else can.

`recipes/<name>.removals` is committed beside the recipe. A line holds the first 16 bytes of an
HMAC-SHA256 of a document's key, or of its text's digest, in hex; the HMAC's key lies in the store,
which is never committed, so that the list does not say what was taken down:

    >>> entry = Entry(keyed(b"secret", "id", b"k" * 16), "id", "court-order", "1.0.0")
    >>> entry.line()
    '131699f65d7b23f17d73f06f4c5c464f id court-order 1.0.0'
    >>> later("1.0.10", "1.0.9"), later("1.0.0", "1.0.0")
    (True, False)
"""

import functools
import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curate import files
from curate.errors import InputError, UsageError

if TYPE_CHECKING:
    import polars as pl

HEAD = "# curate-removals/1"
KEY_FILE = "removals.key"
"""Name of the HMAC's key in the store."""
SECRET_BYTES = 32
_LINE = re.compile(r"([0-9a-f]{32}) (id|text) ([A-Za-z0-9][A-Za-z0-9._-]*) ([0-9A-Za-z.-]+)")


@dataclass(frozen=True, order=True)
class Entry:
    """
    One thing that later builds leave out.

    `kind` is "id" (digest of a document's key) or "text" (of its content digest), `reason` a code,
    `after` the version it was taken out of: that version's own recipe still builds as it did.
    """

    digest: str
    kind: str
    reason: str
    after: str

    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.digest} {self.kind} {self.reason} {self.after}"


def keyed(secret: bytes, kind: str, value: bytes) -> str:
    """32 hex digits of HMAC-SHA256 over the kind and 16 bytes of key or content digest."""
    return hmac.digest(secret, kind.encode() + b"\0" + value, "sha256")[:16].hex()


def path_of(recipe: Path) -> Path:
    """Where the removals of a recipe are listed."""
    return recipe.with_suffix(".removals")


def read(path: Path) -> list[Entry]:
    """The entries of a file, none if it does not exist; InputError names a line that is wrong."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return []
    lines = text.split("\n")
    if lines[0] != HEAD or lines[-1]:
        raise InputError(f"{path} does not start with {HEAD!r} or does not end with a newline")
    entries = []
    for number, line in enumerate(lines[1:-1], 2):
        match = _LINE.fullmatch(line)
        if match is None:
            raise InputError(f"{path}, line {number}: not `<32 hex> id|text <reason> <version>`")
        entries.append(Entry(*match.groups()))
    return entries


def add(path: Path, entries: Iterable[Entry]) -> None:
    """Write the file with these entries as well; sorted, each digest once, the oldest wins."""
    known = {(entry.kind, entry.digest): entry for entry in [*entries, *read(path)]}
    lines = [HEAD, *(entry.line() for entry in sorted(known.values()))]
    files.write_bytes(path, ("\n".join(lines) + "\n").encode())


def secret_of(path: Path, *, create: bool) -> bytes:
    """The HMAC's key; a new one is made if `create`, else UsageError if there is none."""
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        if not create:
            raise UsageError(
                f"there is no {path}",
                details=["removals can be recognised only with the key they were made with"],
                hint="Copy it from the store in which `curate remove` was run, or name --key.",
            ) from None
        text = os.urandom(SECRET_BYTES).hex()
        with files.replacing(path) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_text(text + "\n")
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise InputError(f"{path} is not a key of 64 hex digits")
    return bytes.fromhex(text)


def later(version: str, than: str) -> bool:
    """Whether a version comes after another: numbers as numbers, words after numbers."""

    def order(text: str) -> list[tuple[int, int, str]]:
        parts = re.split(r"[.-]", text)
        return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts]

    return order(version) > order(than)


def digest_of(entries: Iterable[str]) -> str:
    """sha256 of keyed digests, sorted and back to back."""
    return hashlib.sha256("".join(sorted(entries)).encode()).hexdigest()


@dataclass(frozen=True)
class Matcher:
    """Recognises what was taken down before a version."""

    secret: bytes
    ids: frozenset[str]
    texts: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.ids or self.texts)

    def matches(self, keys: "pl.Series", contents: "pl.Series") -> "pl.Series":
        """Which documents were taken down: Boolean; `keys` and `contents` are Binary, 16 bytes."""
        import polars as pl

        secret, ids, texts = self.secret, self.ids, self.texts
        pairs = zip(keys.to_list(), contents.to_list(), strict=True)
        return pl.Series(
            "removed",
            [keyed(secret, "id", k) in ids or keyed(secret, "text", c) in texts for k, c in pairs],
            dtype=pl.Boolean,
        )

    @property
    def digest(self) -> str:
        """A fingerprint of what is recognised, for a plan's name; "" of nothing."""
        return digest_of([*self.ids, *self.texts]) if self else ""


def applied(recipe: Path, version: str) -> list[Entry]:
    """What was taken down before a version: builds of it leave these out."""
    return [entry for entry in read(path_of(recipe)) if later(version, entry.after)]


def newest(entries: Iterable[Entry]) -> str:
    """The last version that something was taken out of."""
    return functools.reduce(lambda a, b: b if later(b, a) else a, (e.after for e in entries))


def matcher(recipe: Path, version: str, secret: Path, *, patch: bool = False) -> Matcher:
    """
    What builds of this version of a recipe leave out; falsy if nothing.

    With `patch` what must not come back when this version is patched: its own removals as well.
    UsageError if there is something to leave out and no key to recognise it by.
    """
    entries = applied(recipe, version)
    if patch:
        entries += [entry for entry in read(path_of(recipe)) if version == entry.after]
    if not entries:
        return Matcher(b"", frozenset(), frozenset())
    return Matcher(
        secret_of(secret, create=False),
        frozenset(entry.digest for entry in entries if entry.kind == "id"),
        frozenset(entry.digest for entry in entries if entry.kind == "text"),
    )
