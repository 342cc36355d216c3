"""
Turn a recipe and the parts of its sources into a plan: the ordered spans of every arm.

    parts ──gather──▶ rows ──resolve──▶ candidates ──planner──▶ draws ──order──▶ spans on disk

Everything is arithmetic over the tables of tags and pools; text and tokens are never read. Files
and fields: docs/format.md §3.4. `plan.json` is written last.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate import files
from curate.fingerprint import canonical
from curate.mixing import describe, feasible, order, rank
from curate.mixing.census import Pool, piece_words
from curate.mixing.deviation import Meter
from curate.mixing.draw import Draw
from curate.mixing.emit import Sharder, write_spans
from curate.mixing.gather import Removed, Selection, gather
from curate.mixing.phases import Schedule, schedules
from curate.mixing.planner import ArmDraws, Attempt, Planner
from curate.mixing.problem import Problem
from curate.mixing.resolve import resolve
from curate.mixing.scratch import Rows, Scratch, Tape
from curate.mixing.streams import TAKEN, Stream
from curate.recipe.model import Recipe
from curate.store import Part

PLAN_FORMAT = "curate-plan/1"


def make_plan(
    recipe: Recipe,
    parts: Mapping[str, Sequence[Part]],
    *,
    out: Path,
    bos: bool,
    progress: Callable[[int], None] = lambda _: None,
    removed: Removed | None = None,
) -> dict[str, Any]:
    """
    Write the plan of a recipe into the folder `out` and give the object of its plan.json.

    `bos` says whether every document begins with BOS; `progress` is told how far the work is, in
    parts of all that there are; documents that are `removed` are left out and counted. Raises
    RecipeError where a `where` does not fit the tags, InfeasibleError (exit 5) where the pools
    cannot give what is asked.
    """
    scratch = Scratch(out / f"{files.TEMPORARY_PREFIX}work")
    steps = _Steps(progress, sum(len(found) for found in parts.values()))
    try:
        gathered = gather(recipe, parts, scratch, bos=bos, progress=steps.read, removed=removed)
        planner = Planner(gathered, resolve(gathered), scratch)
        try:
            attempt = planner.attempt(recipe)
        except Problem as problem:
            raise feasible.explain(recipe, problem, planner.attempt) from None
        steps.reach(Fraction(2, 3))
        plan = _write(planner, attempt, out, steps)
        steps.reach(Fraction(1))
        return plan
    finally:
        scratch.close()


@dataclass
class _Steps:
    """Parts as the unit of all work: reading is a third of it, choosing and writing the others."""

    progress: Callable[[int], None]
    total: int
    n_read: int = 0
    told: int = 0

    def read(self, n_parts: int) -> None:
        self.n_read += n_parts
        self.reach(Fraction(self.n_read, 3 * self.total))

    def reach(self, part: Fraction) -> None:
        there = int(part * self.total)
        if there > self.told:
            self.progress(there - self.told)
            self.told = there


def _write(planner: Planner, attempt: Attempt, out: Path, steps: _Steps) -> dict[str, Any]:
    recipe, gathered = attempt.recipe, planner.gathered
    with files.replacing(out / "parts.parquet") as temporary:
        pl.DataFrame(
            {
                "source": [part.source for part in gathered.parts],
                "name": [part.name for part in gathered.parts],
            },
            schema={"source": pl.String, "name": pl.String},
        ).write_parquet(temporary)
    held = attempt.ground.held
    arms = []
    for number, arm in enumerate(attempt.arms, 1):
        arms.append(_arm(planner, attempt, arm, out))
        steps.reach(Fraction(2, 3) + Fraction(number, 3 * len(attempt.arms)))
    plan: dict[str, Any] = {
        "format": PLAN_FORMAT,
        "recipe": recipe.name,
        "version": recipe.version,
        "seed": recipe.seed,
        "layout": recipe.mix.layout,
        "arms": arms,
        "sources": describe.sources(planner, held),
    }
    if recipe.holdout is not None:
        plan["holdout"] = _holdout(planner, attempt, held, out)
    files.write_bytes(out / "plan.json", canonical(plan))
    return plan


def _arm(planner: Planner, attempt: Attempt, arm: ArmDraws, out: Path) -> dict[str, Any]:
    names = sorted(arm.draws)
    by_source = attempt.recipe.mix.layout == "by-source"
    breaks = _breaks(attempt, arm, names) if by_source else []
    written = _spans(
        planner,
        attempt.recipe,
        names,
        arm.draws,
        arm.lines,
        breaks,
        out / f"{arm.arm.name or 'mix'}.parquet",
    )
    return describe.arm(planner, attempt, arm, names, written)


def _spans(
    planner: Planner,
    recipe: Recipe,
    names: Sequence[str],
    draws: Mapping[str, Draw],
    lines: Mapping[str, Schedule],
    breaks: Sequence[int],
    path: Path,
) -> dict[str, Any]:
    by_source = recipe.mix.layout == "by-source"
    feeds = [
        (lines[name], draws[name].spans(number))
        for number, name in enumerate(names)
        if name in lines
    ]
    meter = Meter(names, lines)
    totals = write_spans(
        path,
        order.one_by_one(feeds) if by_source else order.interleave(feeds),
        planner.scratch.folder / "spans",
        Sharder(recipe.mix.shard_tokens, breaks),
        meter,
    )
    longest = totals.pop("longest")
    return {**totals, "largest_deviation": meter.result(longest, by_source=by_source)}


def _breaks(attempt: Attempt, arm: ArmDraws, names: Sequence[str]) -> list[int]:
    """
    Spans of a by-source arm before which a shard begins.

    Those are where a component begins, and where any arm that takes the same documents ends:
    so arms share their files.
    """
    breaks: list[int] = []
    before = 0
    for name in names:
        draw = arm.draws[name]
        ends = {
            other.stop - draw.start
            for sibling in attempt.arms
            for other in sibling.draws.values()
            if other.stream is draw.stream and other.start == draw.start
        }
        breaks += [before, *(before + end for end in ends if 0 < end < draw.n_spans)]
        before += draw.n_spans
    return breaks


def _holdout(planner: Planner, attempt: Attempt, held: Rows, out: Path) -> dict[str, Any]:
    """Write the hold-out: whole documents, a component per source, in the order of any mix."""
    recipe, gathered = attempt.recipe, planner.gathered
    draws: dict[str, Draw] = {}
    for number, name in enumerate(gathered.sources):
        rows = held[held["source"] == number]
        if not len(rows):
            continue
        keys = piece_words(rows)
        places = rank.in_order(rank.ranks(keys, recipe.seed, 0), keys)
        taken = np.empty(len(rows), TAKEN)
        taken["a"], taken["b"] = keys[places, 0], keys[places, 1]
        for column in ("part", "row", "n_tokens", "n_bytes"):
            taken[column] = rows[column][places]
        tape = Tape(planner.scratch, "holdout", TAKEN, ("n_tokens", "n_bytes"))
        tape.append(taken)
        stream = Stream(Pool(Selection(number, 0)), recipe.seed, len(taken), tape)
        n_tokens, n_bytes = tape.sums["n_tokens"][-1], tape.sums["n_bytes"][-1]
        draws[name] = Draw(stream, 0, len(taken), {}, n_tokens, n_bytes)
    names = sorted(draws)
    lines = schedules({name: draws[name].n_tokens for name in names}, {})
    by_source = recipe.mix.layout == "by-source"
    breaks = list(accumulate(draws[name].n_spans for name in names)) if by_source else []
    path = out / "holdout.parquet"
    written = _spans(planner, recipe, names, draws, lines, breaks, path)
    counts = dict(zip(gathered.sources, planner.whole, strict=True))
    return describe.holdout(recipe, names, draws, written, held, counts)
