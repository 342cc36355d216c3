"""
Turn one part of documents into its part of the token pool: `<part>.ids` and `<part>.parquet`.

The text is read and encoded some megabytes at a time; ids go to the file as they come, so memory
does not grow with the part. The receipt is written last.

    encode_part(documents, tokenizer, max_document_tokens=None, out=folder, part="…-00000")
    -> {"n_documents": …, "n_tokens": …, "ids_sha256": …, "engine": "fastokens", "parity": {…}, …}
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from curate import document, files, store
from curate.errors import InputError, IntegrityError
from curate.tokenizer import Tokenizer, added_tokens
from curate.tokens import parity, pieces
from curate.tokens.batches import Batch, batches, n_rows
from curate.tokens.engines import Engine, EngineError, EngineName, Fast, Ids, Offsets, choose

Narrow = npt.NDArray[Any]
"""Ids in the file's width: uint16 or uint32, little-endian."""

SCHEMA: dict[str, Any] = {
    "row": pl.UInt32,
    "piece": pl.UInt32,
    "key": pl.Binary,
    "n_tokens": pl.UInt32,
    "n_bytes": pl.UInt32,
    "offset": pl.UInt64,
    "digest": pl.Binary,
}


def encode_part(
    documents: Path,
    tokenizer: Tokenizer,
    *,
    max_document_tokens: int | None,
    out: Path,
    part: str,
    engine: EngineName = "auto",
    progress: Callable[[int], None] = lambda n_documents: None,
) -> dict[str, Any]:
    """
    Encode `documents` into `out/<part>.ids`, `.parquet` and, last, the receipt; return its facts.

    `progress` is called with the documents done since the last call. Where the fast engine fails or
    differs, the part is encoded anew by the reference. Raises InputError for a document whose ids
    hold EOS or BOS inside, IntegrityError for an id that the vocabulary does not have.
    """
    using, reason = choose(tokenizer, engine)
    try:
        facts = _write(documents, tokenizer, max_document_tokens, out, part, using, progress)
    except (_MismatchError, EngineError, InputError, IntegrityError) as found:
        if not isinstance(using, Fast):
            raise
        # Whatever the fast engine did wrong, the reference decides what is right.
        using, reason = choose(tokenizer, "tokenizers")[0], str(found)
        facts = _write(documents, tokenizer, max_document_tokens, out, part, using, progress)
        if isinstance(found, _MismatchError):
            facts["parity"] = found.parity
    if reason:
        facts["engine_reason"] = reason
    store.write_receipt(out, part, facts)
    return facts


class _MismatchError(Exception):
    """The fast engine differs from the reference on a sampled document."""

    def __init__(self, parity: dict[str, Any]) -> None:
        super().__init__("the sample gives other ids")
        self.parity = parity


@dataclass
class _Encoded:
    """Rows of the pool and their ids, ready to be written."""

    ids: Narrow  # with EOS and BOS
    rows: pl.DataFrame  # columns of SCHEMA


@dataclass
class _Counts:
    n_documents: int = 0
    n_rows: int = 0
    n_tokens: int = 0
    n_bytes: int = 0
    n_sampled: int = 0
    added: Counter[int] = field(default_factory=Counter)


def _write(
    documents: Path,
    tokenizer: Tokenizer,
    max_document_tokens: int | None,
    out: Path,
    part: str,
    engine: Engine,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    n_all = n_rows(documents)
    counts = _Counts()
    digest = hashlib.sha256()
    tables: list[pl.DataFrame] = [pl.DataFrame(schema=SCHEMA)]
    watched = _watched(tokenizer)
    with (
        files.replacing(out / f"{part}.ids") as temporary,
        open(temporary, "wb", buffering=0) as file,
    ):
        split = max_document_tokens is not None  # pieces are named after the document's id
        for batch in batches(documents, batch_bytes=engine.batch_bytes, ids=split):
            texts = batch.frame["text"].to_list()
            found, offsets = engine.encode(texts)
            ids = _narrowed(found, tokenizer)
            _check(ids, offsets, batch, tokenizer, watched, counts, part)
            if isinstance(engine, Fast):
                _compare(texts, ids, offsets, batch, tokenizer, engine, counts, n_all)
            done = _rows(ids, offsets, batch, tokenizer, max_document_tokens, counts.n_tokens)
            _append(file, done.ids)
            digest.update(_bytes(done.ids))
            tables.append(done.rows)
            counts.n_documents += batch.frame.height
            counts.n_rows += done.rows.height
            counts.n_tokens += len(done.ids)
            counts.n_bytes += int(batch.frame["n_bytes"].sum())
            progress(batch.frame.height)
    with files.replacing(out / f"{part}.parquet") as temporary:
        pl.concat(tables).write_parquet(
            temporary, compression="zstd", compression_level=1, row_group_size=1 << 17
        )
    return {
        "n_documents": counts.n_documents,
        "n_rows": counts.n_rows,
        "n_tokens": counts.n_tokens,
        "n_bytes": counts.n_bytes,
        "ids_sha256": digest.hexdigest(),
        "engine": engine.name,
        "engine_version": engine.version,
        "parity": {"n_documents": counts.n_sampled, "n_mismatches": 0},
        "added_tokens": {watched.names[i]: n for i, n in sorted(counts.added.items())},
    }


@dataclass(frozen=True)
class _Watched:
    """Ids that are looked for in every document: EOS and BOS, and added tokens not special."""

    forbidden: frozenset[int]
    ranges: tuple[tuple[int, int], ...]  # first and last, of neighbouring ids
    names: dict[int, str]  # of added tokens that are not special

    def find(self, ids: Narrow) -> npt.NDArray[np.intp]:
        """Positions of watched ids, ascending."""
        found = [
            np.flatnonzero(hits)
            for first, last in self.ranges
            # Unsigned, so that ids below the first wrap around and are too large as well.
            if (hits := (ids - ids.dtype.type(first)) <= last - first).any()
        ]
        return np.sort(np.concatenate([np.zeros(0, dtype=np.intp), *found]))


def _watched(tokenizer: Tokenizer) -> _Watched:
    names = {t["id"]: t["content"] for t in added_tokens(tokenizer.json) if not t["special"]}
    forbidden = {i for i in (tokenizer.eos_id, tokenizer.bos_id) if i is not None}
    ids = sorted(forbidden | set(names))
    firsts = [i for i in ids if i - 1 not in ids]
    lasts = [i for i in ids if i + 1 not in ids]
    return _Watched(frozenset(forbidden), tuple(zip(firsts, lasts, strict=True)), names)


def _narrowed(ids: Ids, tokenizer: Tokenizer) -> Narrow:
    """Ids in the file's width; those outside the vocabulary are refused."""
    if len(ids) and int(ids.max()) >= tokenizer.n_vocab:
        raise IntegrityError(
            f"an engine gave id {int(ids.max()):,} for {tokenizer.name}, "
            f"which has {tokenizer.n_vocab:,} entries"
        )
    return ids.astype("<u2" if tokenizer.dtype == "uint16" else "<u4", copy=False)


def _check(
    ids: Narrow,
    offsets: Offsets,
    batch: Batch,
    tokenizer: Tokenizer,
    watched: _Watched,
    counts: _Counts,
    part: str,
) -> None:
    """Refuse EOS or BOS inside; count added tokens."""
    hits = watched.find(ids)
    kinds, n_each = np.unique(ids[hits], return_counts=True)
    forbidden = watched.forbidden.intersection(kinds.tolist())
    if forbidden:
        first = int(hits[np.isin(ids[hits], list(forbidden))][0])
        row = int(np.searchsorted(offsets, first, side="right")) - 1
        at = first - int(offsets[row])
        raise InputError(
            f"document {batch.frame['key'][row].hex()} has the id of EOS or BOS inside",
            details=[
                f"row {batch.first_row + row:,} of part {part}, its token {at:,}",
                f"{tokenizer.name} makes ordinary text into its special token",
            ],
            hint="Choose an eos (and bos) that the tokenizer's model cannot make from text.",
        )
    counts.added.update(dict(zip(kinds.tolist(), n_each.tolist(), strict=True)))


def _compare(
    texts: list[str],
    ids: Narrow,
    offsets: Offsets,
    batch: Batch,
    tokenizer: Tokenizer,
    engine: Engine,
    counts: _Counts,
    n_all: int,
) -> None:
    """Raise _MismatchError where a sampled document's ids are not the reference's."""
    sample = parity.chosen(batch.words, first_row=batch.first_row, n_rows=n_all)
    counts.n_sampled += len(sample)
    wrong = parity.mismatches(texts, ids, offsets, sample, batch.words, tokenizer, engine)
    if wrong:
        keys = batch.frame["key"]
        raise _MismatchError(
            {
                "n_documents": counts.n_sampled,
                "n_mismatches": len(wrong),
                "documents": [keys[row].hex() for row in wrong],
            }
        )


def _rows(
    ids: Narrow,
    offsets: Offsets,
    batch: Batch,
    tokenizer: Tokenizer,
    max_document_tokens: int | None,
    first_token: int,
) -> _Encoded:
    """Put BOS and EOS around every row, split what is too long, describe each row."""
    n_before = 0 if tokenizer.bos_id is None else 1
    n_around = n_before + 1
    n = batch.frame.height
    described = pl.DataFrame(
        [
            pl.Series("row", np.arange(batch.first_row, batch.first_row + n), dtype=pl.UInt32),
            pl.Series("piece", [None], dtype=pl.UInt32).new_from_index(0, n),
            batch.frame["key"],
            batch.frame["n_bytes"],
        ]
    )
    borders = offsets
    if max_document_tokens is not None:
        too_long = np.flatnonzero(np.diff(offsets) > max_document_tokens - n_around)
        if len(too_long):
            described, borders = _split(
                ids, offsets, batch, tokenizer, described, too_long, max_document_tokens - n_around
            )
    n_tokens = np.diff(borders) + n_around
    ends = np.cumsum(n_tokens)
    starts = ends - n_tokens
    whole = np.empty(int(ends[-1]), dtype=ids.dtype)
    content = np.ones(len(whole), dtype=np.bool_)
    content[ends - 1] = False
    whole[ends - 1] = tokenizer.eos_id
    if tokenizer.bos_id is not None:
        content[starts] = False
        whole[starts] = tokenizer.bos_id
    whole[content] = ids
    width = whole.itemsize
    data, sha256 = _bytes(whole), hashlib.sha256
    digests = [
        sha256(data[a:b]).digest()[:16]
        for a, b in zip((starts * width).tolist(), (ends * width).tolist(), strict=True)
    ]
    rows = pl.DataFrame(
        [
            *described["row", "piece", "key"],
            pl.Series("n_tokens", n_tokens, dtype=pl.UInt32),
            described["n_bytes"],
            pl.Series("offset", starts + first_token, dtype=pl.UInt64),
            pl.Series("digest", digests, dtype=pl.Binary),
        ]
    )
    return _Encoded(whole, rows)


def _split(
    ids: Narrow,
    offsets: Offsets,
    batch: Batch,
    tokenizer: Tokenizer,
    described: pl.DataFrame,
    too_long: npt.NDArray[np.intp],
    n_content: int,
) -> tuple[pl.DataFrame, Offsets]:
    """Replace the rows of long documents by rows of their pieces: (rows, borders in `ids`)."""
    table = pieces.token_bytes(tokenizer)
    tables: list[pl.DataFrame] = []
    inner: list[int] = []
    after = 0
    for row in too_long.tolist():
        start, end = int(offsets[row]), int(offsets[row + 1])
        at = pieces.cuts(ids[start:end], n_content, table.starts)
        inner.extend(start + a for a in at)
        n_bytes = pieces.shares(ids[start:end], at, int(described["n_bytes"][row]), table)
        identifier = batch.frame["id"][row]
        numbers = range(1, len(n_bytes) + 1)
        tables.append(described.slice(after, row - after))
        tables.append(
            pl.DataFrame(
                {
                    "row": [batch.first_row + row] * len(n_bytes),
                    "piece": list(numbers),
                    "key": [document.key(document.piece_id(identifier, k)) for k in numbers],
                    "n_bytes": n_bytes,
                },
                schema=described.schema,
            )
        )
        after = row + 1
    tables.append(described.slice(after))
    # Inner borders lie strictly inside documents, so sorting cannot confuse them with offsets.
    return pl.concat(tables), np.sort(np.concatenate([offsets, inner])).astype(np.int64)


def _append(file: BinaryIO, ids: npt.NDArray[Any]) -> None:
    """Write all of `ids`: an unbuffered write may write less than it is given."""
    rest = _bytes(ids)
    while rest:
        rest = rest[file.write(rest) :]


def _bytes(ids: npt.NDArray[Any]) -> memoryview:
    return ids.view(np.uint8).data
