"""Ids against rows, token by token: each finding by itself, with its place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curate.audit import tiling
from curate.audit.opened import Opened, open_mix
from tests.audit.conftest import Mix
from tests.audit.damage import manifest_of, npy
from tests.audit.test_rows import at

BOS, EOS = 257, 256


def said(
    folder: Path,
    change: Callable[[pl.DataFrame], pl.DataFrame] = lambda t: t,
    facts: dict[str, Any] | None = None,
) -> list[tuple[str, str, str]]:
    """(kind, where, what) about the first shard."""
    mix = open_mix(folder)
    mix = Opened(folder, facts or mix.manifest)
    rows = change(mix.spans().collect().filter(shard=0))
    return [(f.kind, f.where, f.what) for f in tiling.check(mix, 0, rows, 0)]


def put(folder: Path, token: int, id_: int) -> None:
    """Another id at one place of the first shard."""
    ids = np.fromfile(npy(folder), dtype="<u2")
    ids[token] = id_
    npy(folder).write_bytes(ids.tobytes())


def edges(folder: Path) -> list[int]:
    """Where the spans of the first shard begin, and the end."""
    rows = open_mix(folder).spans().collect().filter(shard=0)
    return [*rows["start"].to_list(), int(rows["n_tokens"].sum())]


def test_a_shard_as_it_was_written_has_no_findings(make: Mix) -> None:
    """With and without a start token."""
    assert [] == said(make("1"))
    assert [] == said(make("2", bos=True))


@pytest.mark.parametrize(
    ("field", "what"),
    [("n_tokens", "{a:,} ids, the manifest says {b:,}"),
     ("n_spans", "{a:,} spans, the manifest says {b:,}")],
)  # fmt: skip
def test_counts_of_the_manifest_are_those_of_the_shard(make: Mix, field: str, what: str) -> None:
    """One more than there are."""
    folder = make()
    facts = manifest_of(folder)
    n = facts["content"]["shards"][0][field]
    facts["content"]["shards"][0][field] = n + 1

    assert [("count", "", what.format(a=n, b=n + 1))] == said(folder, facts=facts)


def test_a_span_begins_where_the_one_before_it_ends(make: Mix) -> None:
    """The third starts one later."""
    folder = make()
    third = edges(folder)[2]

    assert [
        ("tiling", "row 2", f"starts at {third + 1:,}, the spans before it end at {third:,}")
    ] == said(folder, at(2, "start", third + 1))


def test_spans_cover_the_shard_to_its_end(make: Mix) -> None:
    """The last row is missing: nothing else can be said of this shard."""
    folder = make()
    *_, last, end = edges(folder)
    found = said(folder, lambda t: t.head(t.height - 1))

    assert ("tiling", "", f"spans end at {last:,}, ids at {end:,}") in found
    assert not {"eos", "span"} & {kind for kind, _, _ in found}
    none = said(folder, lambda t: t.head(0))
    assert ("tiling", "", f"spans end at 0, ids at {end:,}") in none


def test_no_more_ids_are_inserted_than_there_are(make: Mix) -> None:
    """As many as the span has is too many; one less is not."""
    folder = make()
    n = edges(folder)[1]

    assert [("count", "row 0", "as many ids inserted as there are, or more")] == said(
        folder, at(0, "n_inserted", n)
    )
    assert [] == said(folder, at(0, "n_inserted", n - 1))


def test_special_ids_are_where_spans_begin_and_end(make: Mix) -> None:
    """An end too few, an end too many, a start too few, a start too many, an id of nothing."""
    folder = make(bos=True)
    first, second = edges(folder)[:2]
    whole = npy(folder).read_bytes()
    found = {}
    for name, token, id_ in (
        ("no end", second - 1, 65),
        ("end inside", first + 1, EOS),
        ("no start", second, 65),
        ("start inside", first + 1, BOS),
        ("nothing", first + 1, 258),
    ):
        put(folder, token, id_)
        found[name] = {f for f in said(folder) if f[0] != "span"}
        npy(folder).write_bytes(whole)

    assert {
        "no end": {("eos", f"token {second - 1}, span 0", "the span ends without EOS")},
        "end inside": {("eos", f"token {first + 1}, span 0", "EOS inside a span")},
        "no start": {("eos", f"token {second}, span 1", "the span starts without BOS")},
        "start inside": {("eos", f"token {first + 1}, span 0", "BOS inside a span")},
        "nothing": {("vocab", f"token {first + 1}, span 0", "id 258, the vocabulary has 258")},
    } == found


def test_every_span_s_digest_is_that_of_its_ids(make: Mix) -> None:
    """One id changed: its span, from token to token, and no other."""
    folder = make()
    second, third = edges(folder)[1:3]
    put(folder, second, 65 + (np.fromfile(npy(folder), dtype="<u2")[second] == 65))
    [(kind, where, what)] = said(folder)

    assert ("span", f"tokens {second}–{third}, span 1") == (kind, where)
    assert what.startswith("ids are ") and "spans.parquet says" in what
