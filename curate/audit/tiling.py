"""
Turn the ids of a shard and its rows of spans.parquet into the places where they disagree.

The laws are those of docs/format.md §5.1: spans tile the shard without gap or overlap, each ends
with EOS and holds no other, each starts with BOS where there is one, every id is in the vocabulary,
and the digest of each span's bytes is the one in its row.
"""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from curate.audit.findings import Finding
from curate.audit.opened import SPANS, Opened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

BLOCK = 2**24
"""Ids looked at at once: bounds the memory, whatever the size of a shard."""


def check(mix: Opened, number: int, rows: "pl.DataFrame", first_row: int) -> Iterator[Finding]:
    """
    Findings about shard `number`.

    `rows` are its rows of spans.parquet in order (start, n_tokens, n_inserted, digest); the first
    of them is row `first_row` of the whole table.
    """
    import numpy as np

    shard = mix.shards[number]
    file = f"shards/{shard['name']}.npy"
    ids = mix.ids(number)
    lengths = rows["n_tokens"].to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    place = _Place(first_row, starts, ends)
    if len(ids) != shard["n_tokens"]:
        what = f"{len(ids):,} ids, the manifest says {shard['n_tokens']:,}"
        yield Finding("count", file, "", what)
    if rows.height != shard["n_spans"]:
        what = f"{rows.height:,} spans, the manifest says {shard['n_spans']:,}"
        yield Finding("count", file, "", what)
    for row in np.flatnonzero(rows["start"].to_numpy() != starts.astype(np.uint64)).tolist():
        what = f"starts at {rows['start'][row]:,}, the spans before it end at {starts[row]:,}"
        yield Finding("tiling", SPANS, f"row {first_row + row}", what)
    if not len(ends) or ends[-1] != len(ids):
        end = int(ends[-1]) if len(ends) else 0
        yield Finding("tiling", file, "", f"spans end at {end:,}, ids at {len(ids):,}")
        return
    bad = np.flatnonzero((rows["n_inserted"] >= rows["n_tokens"]).to_numpy())
    for row in bad.tolist():
        what = "as many ids inserted as there are, or more"
        yield Finding("count", SPANS, f"row {first_row + row}", what)
    yield from _special(mix, file, ids, place)
    yield from _digests(mix, file, ids, rows, place)


class _Place:
    """Says where in a shard a token or a span is."""

    def __init__(
        self, first_row: int, starts: "npt.NDArray[np.int64]", ends: "npt.NDArray[np.int64]"
    ) -> None:
        self.first_row, self.starts, self.ends = first_row, starts, ends

    def of_token(self, token: int) -> str:
        import numpy as np

        row = int(np.searchsorted(self.ends, token, side="right"))
        return f"token {token}, span {self.first_row + row}"

    def of_row(self, row: int) -> str:
        tokens = f"tokens {self.starts[row]}–{self.ends[row]}"
        return f"{tokens}, span {self.first_row + row}"


def _special(mix: Opened, file: str, ids: Any, place: _Place) -> Iterator[Finding]:
    """EOS where spans end and nowhere else, BOS where they start, all ids in the vocabulary."""
    import numpy as np

    tokenizer = mix.content["tokenizer"]
    wanted = [("EOS", tokenizer["eos"]["id"], place.ends - 1)]
    if "bos" in tokenizer:
        wanted.append(("BOS", tokenizer["bos"]["id"], place.starts))
    seen: dict[str, list[Any]] = {name: [] for name, _, _ in wanted}
    for first in range(0, len(ids), BLOCK):
        block = np.asarray(ids[first : first + BLOCK])
        for name, id_, _ in wanted:
            seen[name].append(np.flatnonzero(block == id_) + first)
        for at in np.flatnonzero(block >= tokenizer["n_vocab"]).tolist():
            what = f"id {int(block[at]):,}, the vocabulary has {tokenizer['n_vocab']:,}"
            yield Finding("vocab", file, place.of_token(first + at), what)
    for name, _, expected in wanted:
        found = np.concatenate(seen[name])
        for at in np.setdiff1d(expected, found, assume_unique=True).tolist():
            edge = "ends" if name == "EOS" else "starts"
            yield Finding("eos", file, place.of_token(at), f"the span {edge} without {name}")
        for at in np.setdiff1d(found, expected, assume_unique=True).tolist():
            yield Finding("eos", file, place.of_token(at), f"{name} inside a span")


def _digests(
    mix: Opened, file: str, ids: Any, rows: "pl.DataFrame", place: _Place
) -> Iterator[Finding]:
    raw = memoryview(ids).cast("B")
    width = mix.width
    sha256 = hashlib.sha256
    bounds = zip((place.starts * width).tolist(), (place.ends * width).tolist(), strict=True)
    found = [sha256(raw[a:b]).digest()[:16] for a, b in bounds]
    for row, (computed, said) in enumerate(zip(found, rows["digest"].to_list(), strict=True)):
        if computed != said:
            what = f"ids are {computed.hex()}, spans.parquet says {said.hex()}"
            yield Finding("span", file, place.of_row(row), what)
