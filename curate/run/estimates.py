"""
Turn the scores of what was mixed into the `estimates` of a manifest: how much of it is toxic.

For each tagger's main score: the share of each component and of the mix that is at or over the
threshold, by documents and by tokens, with an interval that resamples whole threads. Where another
tagger was run on a sample (`calibrates`), the share is corrected by what that sample says of the
cheap score's errors; without one, only the apparent share is given, and the method says so.

    {"toxicity": {"threshold": "0.500000",
                  "components": {"toxic": {"documents": SHARE, "tokens": SHARE}, …},
                  "mix": {"documents": SHARE, "tokens": SHARE},
                  "by_source": [{"source", "flagged", "not_flagged", "toxic", "not_toxic"}, …]}}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import taggers
from curate.recipe.where import Clause, Compare, Literal, Name, names
from curate.run.job import Job

if TYPE_CHECKING:
    import polars as pl

    from curate.taggers.estimates import Known, Share

DEFAULT_THRESHOLD = Fraction(1, 2)


@dataclass(frozen=True)
class Scored:
    """A score column to estimate by, its threshold, and each source's sample where there is one."""

    column: str
    threshold: Fraction
    samples: Mapping[str, Path]  # source → sample.parquet of the tagger that calibrates it
    selected: frozenset[str]  # components whose `where` looks at this score


def scored_by(job: Job) -> list[Scored]:
    """The scores of a job's taggers that are probabilities of toxicity, by name."""
    found = []
    for name, declared in sorted(job.taggers.items()):
        if "calibrates" in declared or declared["kind"] not in ("fasttext", "detoxify"):
            continue
        columns = taggers.columns(declared)
        column = next((c for c in (name, f"{name}.toxicity") if columns.get(c) == "Float32"), None)
        if column is None:
            continue
        dear = [n for n, told in job.taggers.items() if told.get("calibrates") == name]
        samples = {
            source: job.tags(source, dear[0]) / "sample.parquet"
            for source in job.recipe.sources
            if dear
        }
        clauses = {c.name: c.where for c in job.recipe.components.values()}
        used = {n for n, where in clauses.items() for c in where if _looks_at(c, column)}
        literals = {v for where in clauses.values() for v in _compared(where, column)}
        threshold = literals.pop() if len(literals) == 1 else DEFAULT_THRESHOLD
        found.append(Scored(column, threshold, samples, frozenset(used)))
    return found


def estimates_of(spans: Path, scored: list[Scored], *, seed: int) -> dict[str, Any]:
    """The `estimates` object of a mix, from its spans.parquet; {} where nothing is scored."""
    import polars as pl

    made = {}
    for score in scored:
        wanted = ["component", "source", "group", "n_tokens", score.column]
        if score.column not in pl.read_parquet_schema(spans):
            continue
        table = pl.read_parquet(spans, columns=wanted).drop_nulls(score.column)
        if table.height:
            made[score.column] = _of_score(table, score, seed)
    return made


def _of_score(table: "pl.DataFrame", score: Scored, seed: int) -> dict[str, Any]:
    import polars as pl

    from curate.taggers import estimates
    from curate.taggers.calibrate import decimal

    flagged = table.with_columns(_flag(score.column, score.threshold).alias("flag"))
    components: dict[str, dict[str, Share]] = {}
    amounts: dict[str, dict[str, int]] = {"documents": {}, "tokens": {}}
    for (name,), rows in sorted(flagged.partition_by("component", as_dict=True).items()):
        components[name] = _shares(rows, score, name, seed)
        amounts["documents"][name] = rows.height
        amounts["tokens"][name] = int(rows["n_tokens"].sum())
    sources = {
        str(source): _shares(rows, score, str(rows["component"][0]), seed)["tokens"]
        for (source,), rows in sorted(flagged.partition_by("source", as_dict=True).items())
    }
    counted = flagged.group_by("source").agg(
        pl.col("n_tokens").sum().alias("all"),
        (pl.col("n_tokens") * pl.col("flag")).sum().alias("flagged"),
    )
    by_source = {source: (every, some) for source, every, some in counted.iter_rows()}
    return {
        "threshold": decimal(score.threshold),
        "components": {
            name: {unit: share.as_json() for unit, share in shares.items()}
            for name, shares in components.items()
        },
        "mix": {
            unit: estimates.mixed(
                [shares[unit] for shares in components.values()],
                list(amounts[unit].values()),
                unit=unit,
            )
            for unit in ("documents", "tokens")
        },
        "by_source": estimates.table(
            {name: some for name, (_, some) in by_source.items()},
            {name: every for name, (every, _) in by_source.items()},
            sources,
        ),
    }


def _shares(rows: "pl.DataFrame", score: Scored, component: str, seed: int) -> "dict[str, Share]":
    from curate.taggers.estimates import toxic_share

    known = _known(score, str(rows["source"][0]))
    groups = rows["group"].rank("dense").to_numpy()  # numbers, in the order of the keys
    return {
        unit: toxic_share(
            rows["flag"].to_numpy(),
            unit=unit,
            tokens=rows["n_tokens"].to_numpy() if unit == "tokens" else None,
            groups=groups,
            known=known,
            selected=component in score.selected,
            seed=seed,
        )
        for unit in ("documents", "tokens")
    }


def _known(score: Scored, source: str) -> "Known | None":
    """What a source's sample says of the cheap flag's errors; the dear score is taken as truth."""
    if source not in score.samples:
        return None
    import polars as pl

    from curate.taggers.estimates import Known

    sample = pl.read_parquet(score.samples[source]).with_columns(
        _flag("cheap", score.threshold).alias("flag"),
        _flag("dear", DEFAULT_THRESHOLD).alias("truth"),
    )
    return Known(
        truth=sample["truth"].to_numpy(),
        flags=sample["flag"].to_numpy(),
        weights=sample["weight"].to_numpy(),
        groups=sample["group"].to_numpy(),
    )


def _flag(column: str, threshold: Fraction) -> "pl.Expr":
    import polars as pl

    return (pl.col(column) >= pl.lit(float(threshold), pl.Float32)).cast(pl.UInt8)


def _looks_at(clause: Clause, column: str) -> bool:
    return bool({column, f"{column}.calibrated"} & set(names(clause.tree)))


def _compared(where: tuple[Clause, ...], column: str) -> list[Fraction]:
    """The numbers that whole clauses compare a column with."""
    found = []
    for clause in where:
        tree = clause.tree
        if isinstance(tree, Compare):
            sides = (tree.left, tree.right)
            if any(isinstance(s, Name) and s.name == column for s in sides):
                found += [s.value for s in sides if isinstance(s, Literal)]
    return [value for value in found if isinstance(value, Fraction)]
