"""
Turn a finished plan and the parts it was made from into the reasons why documents are not in a mix.

The rows are read and resolved as for the plan, and every one that a component could have had but
has not gets the first reason why: docs/format.md §5.8. The counts are those of plan.json, which
tests/test_mixing_dropped.py holds them to.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curate.mixing.census import Pool, View, piece_words
from curate.mixing.gather import Gathered, Removed, Selection, gather
from curate.mixing.resolve import resolved
from curate.mixing.scratch import Rows, Scratch, picked
from curate.mixing.uses import uses
from curate.mixing.where import KEPT
from curate.recipe.model import Component, Recipe
from curate.recipe.where import Clause
from curate.store import Part

Ids = npt.NDArray[np.uint64]

SUPERSEDED, EMPTY, HELD_OUT, UNUSED = "[superseded]", "[empty]", "[held out]", "[unused]"
EARLIER = "[belongs to an earlier component]"
COLUMNS = {"key": pl.Binary, "component": pl.String, "clause": pl.String}


def dropped(
    recipe: Recipe,
    parts: Mapping[str, Sequence[Part]],
    *,
    plan: Path,
    stem: str,
    bos: bool,
    work: Path,
    removed: Removed | None = None,
) -> pl.DataFrame:
    """
    `key` (Binary, 16 bytes), `component`, `clause`: what is not in one arm, sorted by key.

    `stem` names the arm's file in the folder `plan` ("holdout" for the hold-out), `work` is a
    folder that is made and deleted; the other arguments are those the plan was made with. What was
    `removed` is not listed: nobody shall read here what was taken down.
    """
    scratch = Scratch(work)
    try:
        found = gather(recipe, parts, scratch, bos=bos, progress=lambda _: None, removed=removed)
        spans = pl.read_parquet(plan / f"{stem}.parquet", columns=["component", "part", "row"])
        held = np.empty(0, np.uint64)
        if recipe.holdout is not None:
            held = _ids(pl.read_parquet(plan / "holdout.parquet", columns=["part", "row"]))
        tables = [
            table
            for number in range(len(found.buckets))
            for table in (
                _of_holdout(found, number, held)
                if stem == "holdout"
                else _of_arm(recipe, found, number, stem, spans, held)
            )
        ]
        return pl.concat([pl.DataFrame(schema=COLUMNS), *tables]).sort("key", "component", "clause")
    finally:
        scratch.close()


def _of_holdout(found: Gathered, number: int, held: Ids) -> Iterator[pl.DataFrame]:
    """One bucket's rows that are not held out: a component per source, without a `where`."""
    for source, name in enumerate(found.sources):
        if not _is_held(found, source, held):
            continue
        rows, reasons = _before(found, number, source)
        left = reasons == ""
        reasons[left & ~np.isin(_of(rows), held)] = UNUSED
        yield _table(rows, reasons, name)


def _is_held(found: Gathered, source: int, held: Ids) -> bool:
    """Whether anything of a source is held out: else it is no component of the hold-out."""
    mine = [n for n, part in enumerate(found.parts) if part.source == found.sources[source]]
    return bool(np.isin(held >> np.uint64(32), mine).any())


def _of_arm(
    recipe: Recipe, found: Gathered, number: int, stem: str, spans: pl.DataFrame, held: Ids
) -> Iterator[pl.DataFrame]:
    """One bucket's rows, for every component of an arm that does not have them."""
    arm = next(arm for arm in recipe.arms() if (arm.name or "mix") == stem)

    def select(component: Component) -> Selection:
        return found.selection(component.source, component.where)

    used = uses(arm, select, recipe.mix.overlap == "first")
    view = View(_candidates(found, number, held))
    eligible = {use.pool: _of(picked(view.rows, view.eligible(use.pool))) for use in used}
    for place, use in enumerate(sorted(used, key=lambda use: use.name)):
        rows, reasons = _before(found, number, use.pool.selection.source)
        left = reasons == ""
        reasons[left & np.isin(_of(rows), held)] = HELD_OUT
        _by_clause(rows, reasons, use.pool, use.component.where)
        left = reasons == ""
        reasons[left & ~np.isin(_of(rows), eligible[use.pool])] = EARLIER
        left = reasons == ""
        taken = _ids(spans.filter(pl.col("component") == place))
        reasons[left & ~np.isin(_of(rows), taken)] = UNUSED
        yield _table(rows, reasons, use.name)


def _candidates(found: Gathered, number: int, held: Ids) -> Rows:
    """The rows of a bucket that an arm may use."""
    rows, _ = resolved(
        found.buckets.read(number),
        n_sources=len(found.sources),
        least_tokens=found.least_tokens,
    )
    return picked(rows, ~np.isin(_of(rows), held))


def _before(found: Gathered, number: int, source: int) -> tuple[Rows, Any]:
    """One source's rows of a bucket, and the reasons that hold before any `where`; "" for none."""
    every = found.buckets.read(number)
    live, _ = resolved(every, n_sources=len(found.sources), least_tokens=0)
    rows = picked(every, every["source"] == source)
    reasons = np.full(len(rows), "", dtype=object)
    reasons[rows["n_tokens"] < found.least_tokens] = EMPTY
    reasons[~np.isin(_of(rows), _of(live))] = SUPERSEDED
    return rows, reasons


def _by_clause(rows: Rows, reasons: Any, pool: Pool, where: Sequence[Clause]) -> None:
    """The first clause that drops each row, and whether it was for a null."""
    outcomes = rows[f"o{pool.selection.number}"]
    for place, clause in enumerate(where):
        for outcome, text in ((2 * place, clause.text), (2 * place + 1, f"{clause.text} [null]")):
            reasons[(reasons == "") & (outcomes == outcome) & (outcomes != KEPT)] = text


def _table(rows: Rows, reasons: Any, component: str) -> pl.DataFrame:
    """The rows that have a reason."""
    left = reasons != ""
    keys = np.ascontiguousarray(piece_words(picked(rows, left)), dtype="<u8").tobytes()
    return pl.DataFrame(
        {
            "key": [keys[at : at + 16] for at in range(0, len(keys), 16)],
            "component": [component] * int(left.sum()),
            "clause": reasons[left].tolist(),
        },
        schema=COLUMNS,
    )


def _of(rows: Rows) -> Ids:
    """Part and row of each row as one number."""
    found: Ids = rows["part"].astype(np.uint64) << np.uint64(32) | rows["row"].astype(np.uint64)
    return found


def _ids(spans: pl.DataFrame) -> Ids:
    """Part and row of each span as one number, each once."""
    found: Ids = np.unique(
        spans["part"].to_numpy().astype(np.uint64) << np.uint64(32)
        | spans["row"].to_numpy().astype(np.uint64)
    )
    return found
