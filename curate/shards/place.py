"""
Turn one shard's rows of the plan, and the runs of the pool, into that shard, block after block.

A block is a few million tokens of whole spans: what is held in memory at once. It is checked
against the rules of docs/format.md §5.1 before a byte of it is written.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from curate.errors import IntegrityError
from curate.shards.columns import Columns
from curate.shards.gather import Counts, Ids, as_bytes, starts_of, stretches
from curate.shards.runs import Runs

if TYPE_CHECKING:
    import polars as pl

    from curate.tokenizer import Tokenizer

BLOCK_TOKENS = 16_000_000
"""Tokens of a block, if its last span fits: 32 or 64 MB of ids."""

BLOCK_SPANS = 131_072
"""Spans of a block at most: about 60 MB of what is known of them."""

SAMPLES = 512
"""Of the digests taken over from the pool, at least so many per block are computed again."""

MAX_TOKENS = 2**30
"""Tokens in a shard: some readers keep byte offsets in uint32."""

CHECK_TOKENS = 1 << 20

TAKEN_OVER = ("epoch", "shard", "n_tokens", "first", "n_inserted", "cut")
"""Columns of spans.parquet that are the plan's own."""


@dataclass
class Block:
    """Part of a shard: `spans` has the columns of spans.parquet and `n_tokens_whole`."""

    shard: int
    first: int  # token of the shard
    last: bool  # of the shard
    ids: Ids
    components: Counts
    lengths: Counts
    spans: "pl.DataFrame"


def blocks_of(
    number: int,
    rows: "pl.DataFrame",
    runs: Runs,
    tokenizer: "Tokenizer",
    names: Sequence[str],
    columns: Columns,
    room: Callable[[int], Ids],
) -> Iterator[Block]:
    """
    The blocks of shard `number`, given its rows of the plan in stream order.

    `room(n)` gives an array for n ids. Raises IntegrityError if a rule of the format is broken.
    """
    import polars as pl

    lengths = rows["n_tokens"].to_numpy().astype(np.int64)
    n_tokens = int(lengths.sum())
    if not 0 < n_tokens <= MAX_TOKENS:
        raise IntegrityError(f"shard {number} would hold {n_tokens:,} tokens, not 1 to 2^30")
    starts = starts_of(lengths)
    parts = rows["part"].to_numpy()
    known, places = runs.next_rows(parts)
    # Both numbers only rise, so their sum changes where either does.
    for one in stretches(starts // BLOCK_TOKENS + np.arange(len(starts)) // BLOCK_SPANS):
        a, b = one.start, one.stop
        plan = rows[a:b]
        # No lazy step: each wakes the threads of the engine, and waits for them.
        spans = known[places[a:b]].hstack(
            [
                pl.Series("component", names, dtype=pl.String)[plan["component"]],
                pl.Series("start", starts[a:b], dtype=pl.UInt64),
                *(plan[name] for name in TAKEN_OVER),
            ]
        )
        block = Block(
            number,
            int(starts[a]),
            b == len(lengths),
            room(int(lengths[a:b].sum())),
            plan["component"].to_numpy().astype(np.int64),
            lengths[a:b],
            spans[[*columns, "n_tokens_whole"]],
        )
        _fill(block, parts[a:b], runs, tokenizer)
        check(block, tokenizer)
        block.spans = _with_digests(block)
        yield block


def _fill(block: Block, parts: Counts, runs: Runs, tokenizer: "Tokenizer") -> None:
    """Bring the ids of a block together; the last of a cut span is EOS."""
    starts = starts_of(block.lengths)
    order = np.argsort(parts, kind="stable")
    for stretch in stretches(parts[order]):
        mine = order[stretch]
        runs.take(int(parts[mine[0]]), block.ids, starts[mine], block.lengths[mine])
    ends = starts + block.lengths
    block.ids[ends[block.spans["cut"].to_numpy()] - 1] = tokenizer.eos_id


def check(block: Block, tokenizer: "Tokenizer") -> None:
    """
    Refuse (IntegrityError) a block that breaks a rule of docs/format.md §5.1.

    Every id is below the vocabulary and 2^31; an EOS is at the end of every span and nowhere else;
    a BOS is at the start of every span if there is one.
    """
    ends = np.cumsum(block.lengths, dtype=np.int64)
    limit = min(tokenizer.n_vocab, 2**31)
    for first in range(0, len(block.ids), CHECK_TOKENS):
        ids = block.ids[first : first + CHECK_TOKENS]
        if int(ids.max()) >= limit:
            at = first + int(np.argmax(ids >= limit))
            raise _broken(block, at, f"id {block.ids[at]} is not below {limit:,}")
        found = first + np.flatnonzero(ids == tokenizer.eos_id)
        a, b = np.searchsorted(ends, (first + 1, first + len(ids) + 1))
        if not np.array_equal(found, ends[a:b] - 1):
            at = int(np.setxor1d(found, ends[a:b] - 1)[0])
            inside = block.ids[at] == tokenizer.eos_id
            raise _broken(block, at, "EOS inside a span" if inside else "a span without EOS")
    if tokenizer.bos_id is not None:
        starts = starts_of(block.lengths)[block.spans["first"].to_numpy() == 0]
        wrong = starts[block.ids[starts] != tokenizer.bos_id]
        if len(wrong):
            raise _broken(block, int(wrong[0]), "a span without BOS")


def _broken(block: Block, at: int, what: str) -> IntegrityError:
    span = int(np.searchsorted(np.cumsum(block.lengths), at, side="right"))
    return IntegrityError(
        f"shard {block.shard} would break a rule at token {block.first + at:,}: {what}",
        details=[f"document {block.spans['id'][span]}"],
        hint="Delete the receipts of this pool and build again.",
    )


def _with_digests(block: Block) -> "pl.DataFrame":
    """
    The spans with the digest of what was delivered, not of the pool row.

    A whole row's digest is the pool's, of which a fixed sample is computed again; a part of a row
    has its own.
    """
    import polars as pl

    spans, n = block.spans, len(block.lengths)
    starts = starts_of(block.lengths)
    partial = (spans["cut"] | (spans["first"] > 0)).to_numpy()
    sample = np.arange(0, n, 1 + n // (2 * SAMPLES))
    sample = sample[~partial[sample]]
    for at, digest in zip(sample, spans["digest"][sample].to_list(), strict=True):
        if digest_of(block.ids, starts[at], block.lengths[at]) != digest:
            raise IntegrityError(
                f"the pool's digest of document {spans['id'][int(at)]} is not that of its ids",
                details=["the pool was changed after it was written, or the plan is of another"],
                hint="Delete the receipts of this pool and build again.",
            )
    anew = np.flatnonzero(partial)
    if len(anew) == 0:
        return spans
    computed = [digest_of(block.ids, starts[at], block.lengths[at]) for at in anew]
    pick = np.arange(n)
    pick[anew] = n + np.arange(len(anew))
    both = pl.concat([spans["digest"], pl.Series("digest", computed, dtype=pl.Binary)])
    return spans.with_columns(both[pick].alias("digest"))


def digest_of(ids: Ids, start: int, length: int) -> bytes:
    """First 16 bytes of the sha256 of a span's ids, in the width of the file."""
    return sha256(as_bytes(ids[start : start + length])).digest()[:16]
