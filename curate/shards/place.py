"""
Turn one shard's rows of the plan, and the runs of the pool, into that shard: its ids and its spans.

A shard is put together in memory, whole, and is checked against the rules of docs/format.md §5.1
before a byte of it is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from curate.errors import IntegrityError
from curate.shards.columns import Columns
from curate.shards.gather import Counts, Ids, as_bytes, move, starts_of
from curate.shards.runs import Runs

if TYPE_CHECKING:
    import polars as pl

    from curate.tokenizer import Tokenizer

SAMPLES = 8_192
"""Of the digests taken over from the pool, at least so many per shard are computed again."""

MAX_TOKENS = 2**30
"""Tokens in a shard: readers hold offsets in uint32 bytes (reference: docs/format.md §5.1)."""

BLOCK_TOKENS = 1 << 22


@dataclass
class Shard:
    """A shard in memory: `spans` has the columns of spans.parquet and `n_tokens_whole`."""

    number: int
    ids: Ids
    components: Counts
    lengths: Counts
    spans: "pl.DataFrame"


def place(
    number: int,
    rows: "pl.DataFrame",
    ids: Ids,
    runs: Runs,
    tokenizer: "Tokenizer",
    names: Sequence[str],
    columns: Columns,
) -> Shard:
    """Put together shard `number` in `ids` from its rows of the plan, in order, and check it."""
    import polars as pl

    lengths = rows["n_tokens"].to_numpy().astype(np.int64)
    starts = starts_of(lengths)
    order = np.argsort(rows["part"].to_numpy(), kind="stable")
    parts, firsts, counts = np.unique(
        rows["part"].to_numpy()[order], return_index=True, return_counts=True
    )
    tables = []
    for part, first, count in zip(parts.tolist(), firsts.tolist(), counts.tolist(), strict=True):
        mine = order[first : first + count]
        stretch = runs.take(part, lengths[mine])
        move(stretch.ids, stretch.firsts, ids, starts[mine], lengths[mine])
        tables.append(stretch.table)
    cut = rows["cut"].to_numpy()
    ids[(starts + lengths - 1)[cut]] = tokenizer.eos_id
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    known = pl.concat(tables)[back]
    spans = _with_plan(known, rows, starts, number, names, columns)
    shard = Shard(number, ids, rows["component"].to_numpy().astype(np.int64), lengths, spans)
    check(shard, tokenizer)
    shard.spans = _with_digests(spans, ids, starts, lengths)
    return shard


def _with_plan(
    known: "pl.DataFrame",
    rows: "pl.DataFrame",
    starts: Counts,
    number: int,
    names: Sequence[str],
    columns: Columns,
) -> "pl.DataFrame":
    import polars as pl

    components = pl.Series(list(names), dtype=pl.String)[rows["component"]]
    decided = {
        "component": components,
        "epoch": rows["epoch"],
        "shard": pl.repeat(number, rows.height, dtype=pl.UInt32, eager=True),
        "start": pl.Series(starts, dtype=pl.UInt64),
        "n_tokens": rows["n_tokens"],
        "first": rows["first"],
        "n_inserted": rows["n_inserted"],
        "cut": rows["cut"],
    }
    return known.with_columns(**decided).select(*columns, "n_tokens_whole")


def _with_digests(
    spans: "pl.DataFrame", ids: Ids, starts: Counts, lengths: Counts
) -> "pl.DataFrame":
    """
    The spans with the digest of what was delivered, not of the pool row.

    A whole row's digest is the pool's, of which a fixed sample is computed again; a part of a row
    has its own.
    """
    import polars as pl

    partial = (spans["cut"] | (spans["first"] > 0)).to_numpy()
    anew = np.flatnonzero(partial)
    sample = np.arange(0, len(lengths), 1 + len(lengths) // (2 * SAMPLES))
    sample = sample[~partial[sample]]
    for at, digest in zip(sample, spans["digest"][sample].to_list(), strict=True):
        if digest_of(ids, starts[at], lengths[at]) != digest:
            raise IntegrityError(
                f"the pool's digest of document {spans['id'][int(at)]} is not that of its ids",
                details=["the pool was changed after it was written, or the plan is of another"],
                hint="Delete the receipts of this pool and build again.",
            )
    if len(anew) == 0:
        return spans
    computed = [digest_of(ids, starts[at], lengths[at]) for at in anew]
    pick = np.arange(len(lengths))
    pick[anew] = len(lengths) + np.arange(len(anew))
    both = pl.concat([spans["digest"], pl.Series("digest", computed, dtype=pl.Binary)])
    return spans.with_columns(both[pick].alias("digest"))


def digest_of(ids: Ids, start: int, length: int) -> bytes:
    """First 16 bytes of the sha256 of a span's ids, in the width of the file."""
    return sha256(as_bytes(ids[start : start + length])).digest()[:16]


def check(shard: Shard, tokenizer: "Tokenizer") -> None:
    """
    Refuse (IntegrityError) a shard that breaks a rule of docs/format.md §5.1.

    Not empty and at most 2^30 tokens; every id below the vocabulary and 2^31; an EOS at the end of
    every span and nowhere else; a BOS at the start of every span if there is one.
    """
    name = f"shard {shard.number}"
    n_tokens = len(shard.ids)
    if not 0 < n_tokens <= MAX_TOKENS:
        raise IntegrityError(f"{name} would hold {n_tokens:,} tokens; 1 to {MAX_TOKENS:,} can be")
    ends = np.cumsum(shard.lengths, dtype=np.int64)
    limit = min(tokenizer.n_vocab, 2**31)
    for first in range(0, n_tokens, BLOCK_TOKENS):
        block = shard.ids[first : first + BLOCK_TOKENS]
        if int(block.max()) >= limit:
            at = first + int(np.argmax(block >= limit))
            raise _broken(shard, at, f"id {shard.ids[at]} is not below {limit:,}")
        found = first + np.flatnonzero(block == tokenizer.eos_id)
        a, b = np.searchsorted(ends, (first + 1, first + len(block) + 1))
        wrong = np.setxor1d(found, ends[a:b] - 1)
        if len(wrong):
            at = int(wrong[0])
            inside = shard.ids[at] == tokenizer.eos_id
            raise _broken(shard, at, "EOS inside a span" if inside else "a span without EOS")
    if tokenizer.bos_id is not None:
        starts = starts_of(shard.lengths)[shard.spans["first"].to_numpy() == 0]
        wrong = starts[shard.ids[starts] != tokenizer.bos_id]
        if len(wrong):
            raise _broken(shard, int(wrong[0]), "a span without BOS")


def _broken(shard: Shard, at: int, what: str) -> IntegrityError:
    span = int(np.searchsorted(np.cumsum(shard.lengths), at, side="right"))
    return IntegrityError(
        f"shard {shard.number} breaks a rule of its format at token {at:,}: {what}",
        details=[f"document {shard.spans['id'][span]}"],
        hint="Delete the receipts of this pool and build again.",
    )
