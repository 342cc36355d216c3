r"""
Turn labelled sets as published into rows: (set, split, text, toxic), none of them twice.

A training recipe says for each set which of its own labels mean toxic, which mean clean; a row
that says neither, or both equally, is dropped and counted. A row is known by the digest of its
words alone, so the same tweet with another link is the same row, and lies in one split:

    >>> stripped("RT @someone: Such a <b>fool</b>! https://t.example/x &amp; more")
    'Such a <b>fool</b>! & more'
    >>> digest("Such a fool!").hex() == digest("such A fool ...").hex()
    True
"""

import csv
import gzip
import hashlib
import html
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import files
from curate.errors import InputError, IntegrityError

if TYPE_CHECKING:
    import polars as pl

DIGEST_BYTES = 8
SPLITS = ("train", "valid", "test")

_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_MENTION = re.compile(r"(?:\bRT\b\s*)?@\w+:?|<user>|<number>|<url>", re.IGNORECASE)
_QUOTE_LINK = re.compile(r"(?:>|&gt;){2,3}/?\w*/?\d+")
_TAG = re.compile(r"<[^>]*>")
_SPACE = re.compile(r"\s+")
# Emoji are words: in some sets they carry the insult.
_NOT_WORD = re.compile(r"[\s!-/:-@\[-`{-~\u2018-\u201f\u2026]+")


@dataclass(frozen=True)
class LabelledSet:
    """One `[set.<name>]` of a training recipe, as written there."""

    name: str
    files: tuple[str, ...]
    license: str
    text: str
    toxic: Mapping[str, Any] | None = None
    clean: Mapping[str, Any] | None = None
    votes: Mapping[str, str] | None = None
    group: str = ""
    group_until: str = ""
    quoting: bool = True
    html: bool = False
    windows: int = 0  # pieces drawn of each text; 0 is the whole text once
    repeat: int = 1
    valid: Fraction = Fraction(0)
    test: Fraction = Fraction(0)


@dataclass
class Counts:
    """What happened to the rows of a set."""

    n_rows: int = 0
    n_unlabelled: int = 0
    n_empty: int = 0
    n_duplicate: int = 0
    n_contradicted: int = 0
    kept: Counter[str] = field(default_factory=Counter)


def unmarked(markup: str) -> str:
    """The text of an imageboard comment: quote links, tags and word breaks dropped."""
    text = _QUOTE_LINK.sub(" ", markup.replace("<wbr>", ""))
    return _TAG.sub(" ", text)


def stripped(text: str) -> str:
    """Text without what tells where it was collected: entities, links, mentions, runs of space."""
    text = html.unescape(html.unescape(text))
    return _SPACE.sub(" ", _MENTION.sub(" ", _LINK.sub(" ", text))).strip()


def digest(text: str) -> bytes:
    """First 8 bytes of sha256 of the text's words: lower case, no punctuation, single spaces."""
    words = _NOT_WORD.sub(" ", stripped(text).lower()).strip()
    return hashlib.sha256((words or stripped(text)).encode()).digest()[:DIGEST_BYTES]


def rows(sets: Sequence[LabelledSet], folder: Path) -> "tuple[pl.DataFrame, dict[str, Counts]]":
    """
    All rows: `set`, `digest`, `group`, `text` (stripped), `published` (as it came), `toxic`.

    A digest is kept once, in the set that names it first; where a set contradicts itself about a
    digest, the majority holds and a tie drops it.
    """
    import polars as pl

    counts: dict[str, Counts] = {}
    taken: set[bytes] = set()
    columns: dict[str, list[Any]] = {"set": [], "digest": [], "group": [], "text": []}
    columns |= {"published": [], "toxic": []}
    for each in sets:
        count = counts[each.name] = Counts()
        votes: dict[bytes, list[int]] = {}
        first: dict[bytes, tuple[str, str, str]] = {}
        for text, group, toxic in _labelled(each, folder, count):
            mark = digest(text)
            votes.setdefault(mark, [0, 0])[toxic] += 1
            if mark in first or mark in taken:
                count.n_duplicate += 1
            else:
                first[mark] = (stripped(text), text, group or mark.hex())
        for mark, (text, published, group) in first.items():
            n_clean, n_toxic = votes[mark]
            if n_clean == n_toxic:
                count.n_contradicted += 1
                continue
            taken.add(mark)
            for name, value in zip(
                columns, (each.name, mark, group, text, published, n_toxic > n_clean), strict=True
            ):
                columns[name].append(value)
    return pl.DataFrame(columns, schema_overrides={"digest": pl.Binary}), counts


def assigned(table: "pl.DataFrame", sets: Sequence[LabelledSet], seed: int) -> "pl.DataFrame":
    """`table` with a `split` column: whole groups, by sha256 of (seed, set, group)."""
    import polars as pl

    shares = {each.name: (each.test, each.valid) for each in sets}
    splits = []
    for name, group in zip(table["set"].to_list(), table["group"].to_list(), strict=True):
        test, valid = shares[name]
        drawn = hashlib.sha256(f"curate-split-1\0{seed}\0{name}\0{group}".encode()).digest()
        point = Fraction(int.from_bytes(drawn[:8], "big"), 1 << 64)
        splits.append("test" if point < test else "valid" if point < test + valid else "train")
    return table.with_columns(pl.Series("split", splits, dtype=pl.String))


def record(sets: Sequence[LabelledSet], folder: Path, seed: int, out: Path) -> None:
    """Write which row is in which split: `set`, `digest`, `split`, by set and digest."""
    table, _ = rows(sets, folder)
    splits = assigned(table, sets, seed).select("set", "digest", "split").sort("set", "digest")
    with files.replacing(out) as temporary:
        splits.write_parquet(temporary, compression="zstd", compression_level=19)


def committed(table: "pl.DataFrame", splits: "pl.DataFrame") -> "pl.DataFrame":
    """
    `table` with the split that `splits` (set, digest, split) records for each row.

    Raises IntegrityError if a row of the record is not in the data: then it is other data.
    """
    joined = table.join(splits, on=["set", "digest"], how="inner", maintain_order="left")
    if joined.height != splits.height:
        raise IntegrityError(
            "the labelled data are not those the splits were made of",
            details=[f"{splits.height:,} rows recorded, {joined.height:,} of them found"],
            hint="Get the data named in the recipe, or write new splits with --write-splits.",
        )
    return joined


def unlabelled(each: LabelledSet, folder: Path, n: int, seed: int) -> "pl.DataFrame":
    """
    n texts of a set without labels, drawn by digest: `digest` Binary and `text` String, by digest.

    Texts of less than three words are passed over; a digest is drawn once.
    """
    import polars as pl

    found: dict[bytes, str] = {}
    for name in each.files:
        for path in sorted(folder.glob(name)) or [folder / name]:
            for record in _records(path, quoting=each.quoting):
                text = record[each.text][0]
                text = stripped(unmarked(text) if each.html else text)
                if text.count(" ") >= 2:
                    found.setdefault(digest(text), text)
    drawn = sorted(found, key=lambda mark: hashlib.sha256(b"%d\0" % seed + mark).digest())[:n]
    drawn.sort()
    return pl.DataFrame(
        {"digest": drawn, "text": [found[mark] for mark in drawn]},
        schema={"digest": pl.Binary, "text": pl.String},
    )


def _labelled(each: LabelledSet, folder: Path, count: Counts) -> Iterator[tuple[str, str, bool]]:
    for name in each.files:
        for record in _records(folder / name, quoting=each.quoting):
            count.n_rows += 1
            toxic = _label(each, record)
            text = record.get(each.text, [""])[0]
            if toxic is None:
                count.n_unlabelled += 1
            elif not stripped(text):
                count.n_empty += 1
            else:
                group = record[each.group][0] if each.group else ""
                yield text, group.split(each.group_until)[0] if each.group_until else group, toxic


def _label(each: LabelledSet, record: Mapping[str, list[str]]) -> bool | None:
    if each.votes is not None:
        counted = {
            side: sum(
                _vote(cell)
                for column, cells in record.items()
                if re.search(pattern, column)
                for cell in cells
            )
            for side, pattern in each.votes.items()
        }
        clean, toxic = counted.get("clean", 0), counted.get("toxic", 0)
        if "of" in counted:
            toxic = counted["of"] - clean
        if "clean" not in each.votes:  # nobody votes "clean": any vote is enough
            return toxic > 0
        return None if toxic == clean else toxic > clean
    for toxic, rule in ((True, each.toxic), (False, each.clean)):
        if rule is not None and all(record[key][0] in values for key, values in rule.items()):
            return toxic
    return None


def _vote(cell: str) -> int:
    """Votes in a cell: `7`, or one flag per annotator as in `1, 0`; empty is none."""
    return sum(int(float(part)) for part in cell.split(",") if part.strip())


def _records(path: Path, *, quoting: bool) -> Iterator[dict[str, list[str]]]:
    """Rows of a csv, tsv or jsonl file; a column name that occurs twice has two values."""
    text = _read(path)
    kind = path.name.removesuffix(".zst").removesuffix(".gz").rsplit(".", 1)[-1]
    if kind in ("json", "jsonl"):
        for line in text.split("\n"):
            if line:
                yield {key: [str(value)] for key, value in json.loads(line).items()}
        return
    csv.field_size_limit(1 << 24)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter="\t" if kind == "tsv" else ",",
        quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
    )
    header = next(reader)
    for row in reader:
        record: dict[str, list[str]] = {}
        for name, cell in zip(header, row, strict=False):
            record.setdefault(name, []).append(cell)
        yield record


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"no such file: {path}", hint="Name the folder of the labelled sets with --data."
        ) from None
    if path.name.endswith(".zst"):
        import zstandard

        raw = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw)).read()
    elif path.name.endswith(".gz"):
        raw = gzip.decompress(raw)
    return raw.decode()
