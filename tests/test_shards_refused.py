"""Pools and plans that are not what they say are refused; no mix is made of them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curate import shards
from curate.errors import IntegrityError
from curate.shards.spans import SpanTable
from tests import shards_world, tiny_manifest, tiny_mix

BUDGETS = {"clean": 900, "toxic": 300}


def damaged(world: shards_world.World, change: Any) -> None:
    """Change the pool of the first part behind its rows' back."""
    ids = np.fromfile(world.parts[0].ids, np.dtype(world.tokenizer.dtype))
    world.parts[0].ids.write_bytes(np.asarray(change(ids)).tobytes())


def inner_eos(ids: Any) -> Any:
    ids[1] = 256
    return ids


def lost_eos(ids: Any) -> Any:
    ids[np.flatnonzero(ids == 256)[0]] = 65
    return ids


def foreign(ids: Any) -> Any:
    ids[1] = 257
    return ids


def other_byte(ids: Any) -> Any:
    ids[ids != 256] = 88
    return ids


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (inner_eos, "EOS inside a span"),
        (lost_eos, "a span without EOS"),
        (foreign, "id 257 is not below 257"),
        (other_byte, "digest of document"),
        (lambda ids: ids[:-1], "shorter than its pool rows say"),
    ],
)
def test_a_pool_that_is_not_what_it_says_is_refused(tmp_path: Path, change: Any, says: str) -> None:
    """Each rule of a shard is checked before a byte of it is written."""
    documents = tiny_mix.some_documents()
    world = shards_world.make(tmp_path / "store", documents, n_parts=1)
    damaged(world, change)

    with pytest.raises(IntegrityError, match=says):
        world.write(shards_world.planned(documents), tmp_path / "mix")
    assert [] == [p for p in (tmp_path / "mix").rglob("*.npy") if not p.name.startswith(".tmp-")]


def test_a_missing_bos_is_refused(tmp_path: Path) -> None:
    """With a BOS configured every span starts with it."""
    documents = tiny_mix.some_documents()
    world = shards_world.make(tmp_path / "store", documents, bos=True)
    spans = [
        tiny_manifest.Span(d, tuple(shards_world.pool_ids(d.text, bos=True))) for d in documents[:5]
    ]
    content = world.write(spans, tmp_path / "good")
    ids = np.fromfile(tmp_path / "good" / "shards" / f"{content['shards'][0]['name']}.npy", "<u2")
    world.tokenizer = dataclasses.replace(world.tokenizer, bos_id=66)

    assert list(np.flatnonzero(ids == 257)) == [0, *(np.flatnonzero(ids == 256)[:-1] + 1)]
    with pytest.raises(IntegrityError, match="without BOS"):
        world.write(spans, tmp_path / "bad")


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("n_tokens", 1_000, "does not fit the pool"),
        ("row", 1_000, "does not fit the pool"),
        ("part", 1_000, "names part 1000"),
        ("shard", 5, "count its shards up from 0"),
        ("component", 9, "that plan.json does not"),
        ("n_inserted", 1, "inserted ids"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(
    tmp_path: Path, column: str, value: int, says: str
) -> None:
    """A plan made from other pools is an error with its place, never a wrong mix."""
    documents = tiny_mix.some_documents()
    world = shards_world.make(tmp_path / "store", documents)
    facts = world.plan(shards_world.planned(documents))
    rows = pl.read_parquet(world.folder / "mix.parquet")
    kind = rows.schema[column]
    changed = pl.when(pl.int_range(pl.len()) == pl.len() - 1).then(value).otherwise(column)
    rows.with_columns(changed.cast(kind).alias(column)).write_parquet(world.folder / "mix.parquet")

    with pytest.raises(IntegrityError, match=says):
        shards.write_mix(
            plan=world.folder,
            arm="mix",
            facts=facts,
            parts=world.parts,
            tokenizer=world.tokenizer,
            licenses={},
            layout="interleaved",
            seed=7,
            out=tmp_path / "mix",
        )


def test_a_tag_of_two_types_is_refused(tmp_path: Path) -> None:
    """Two taggers of one name must agree on what they give."""
    documents = tiny_mix.some_documents()
    world = shards_world.make(tmp_path / "store", documents)
    tags = world.parts[-1].tags[0]
    pl.read_parquet(tags).cast({"toxicity": pl.Float64}).write_parquet(tags)

    with pytest.raises(IntegrityError, match="tag 'toxicity' is Float64"):
        world.write(shards_world.planned(documents), tmp_path / "mix")


def test_what_was_written_is_compared_with_what_was_planned(tmp_path: Path) -> None:
    """The manifest is counted from the mix; a plan that says otherwise is a bug, and is told."""
    documents = tiny_mix.some_documents()
    world = shards_world.make(tmp_path / "store", documents)
    spans = shards_world.planned(documents)
    facts = world.plan(spans)
    facts["components"][0]["n_bytes"] += 1

    with pytest.raises(IntegrityError, match="component clean was not written as it was planned"):
        world.write(spans, tmp_path / "mix", facts=facts)


def test_rows_that_cannot_be_written_are_an_error_and_not_a_wait(tmp_path: Path) -> None:
    """Who adds rows to a table that is lost already is told why, however many blocks come."""
    rows = pl.DataFrame({"n_tokens": [1, 2, 3]})
    with (
        pytest.raises(OSError, match="nowhere"),
        SpanTable(tmp_path / "nowhere" / "spans.parquet", dict(rows.schema)) as table,
    ):
        for _ in range(9):
            table.add(rows)


def test_a_writer_that_gives_up_leaves_the_table_of_spans_alone(tmp_path: Path) -> None:
    """An error between two blocks is told as it is, and nobody waits for the rest."""
    rows = pl.DataFrame({"n_tokens": [1, 2, 3]})
    with (
        pytest.raises(IntegrityError, match="of another"),
        SpanTable(tmp_path / "spans.parquet", dict(rows.schema)) as table,
    ):
        table.add(rows)
        raise IntegrityError("the plan is of another pool")
