"""
Turn a mix and the store it was built from into an answer: does the model still give these scores?

Documents are drawn by key and scored again by the taggers that the recipe locks: some of every
source, against the store's tags, dropped ones included; and some of the mix, against its spans.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import document
from curate.audit.findings import Finding, Outcome
from curate.audit.opened import SPANS, collected
from curate.errors import IntegrityError, UsageError
from curate.fingerprint import digest
from curate.run.job import Job, open_job
from curate.store import Store

if TYPE_CHECKING:
    import polars as pl

    from curate.audit.opened import Opened

PLACE = ["input", "offset", "content"]
"""Columns that say which document of the store a span is of; pieces share them."""


def retag(mix: "Opened", *, recipe: Path, store: Path, n: int, seed: int = 0) -> Outcome:
    """
    Score n documents of the mix, and n of each source, again; findings where scores differ.

    Raises UsageError if the recipe is another one or has no tagger, IntegrityError if a model is
    not the locked one, InfeasibleError if the store has not what the recipe makes of its dumps.
    """
    if digest(recipe.read_bytes()) != mix.origin["recipe"]["sha256"]:
        raise UsageError(
            f"{recipe} is not the recipe of {mix.title}",
            hint="Check out the recipe of that version.",
        )
    job = open_job(recipe, store=Store(store), locked=True)
    scoring = {name: told for name, told in job.taggers.items() if "calibrates" not in told}
    if not scoring:
        raise UsageError(f"{recipe} has no tagger", hint="There are no scores to give again.")
    outcome = Outcome()
    drawn = _drawn(mix, n, seed)
    texts = _texts(job, drawn)
    outcome.findings += _contents(texts)
    for name, declared in scoring.items():
        outcome.findings += _models(mix, name, declared)
        outcome.findings += _tags(job, name, declared, n, seed)
        outcome.findings += _spans(texts, name, declared)
    n_found = sum(table.height for table in texts.values())
    outcome.checked.append(
        f"scores of {', '.join(scoring)}: {n_found:,} spans, and {n:,} documents of every source "
        "(all, if fewer), scored again"
    )
    if n_found < drawn.height:
        lost = drawn.height - n_found
        outcome.not_checked.append(f"scores of {lost:,} drawn spans: the store has not their texts")
    outcome.not_checked += [
        f"scores of {name}: calibrated from a sample, not given by a model"
        for name in job.taggers
        if name not in scoring
    ]
    outcome.not_checked.append("scores of documents that were not drawn (a larger --retag)")
    return outcome


def _drawn(mix: "Opened", n: int, seed: int) -> "pl.DataFrame":
    """n spans of distinct documents, those with the smallest draws."""
    import polars as pl

    from curate.taggers import calibrate

    spans = collected(mix.spans().with_row_index("row")).unique(PLACE, keep="first")
    draws = calibrate.numbers(document.key_words(spans["key"]), seed)
    least = spans.with_columns(draw=pl.Series(draws)).sort("draw", "row").head(n)
    return least.drop("draw").sort("row")


def _texts(job: Job, drawn: "pl.DataFrame") -> "dict[str, pl.DataFrame]":
    """Source → the documents of the drawn spans, their spans' columns as `span.<name>`."""
    import polars as pl

    found: dict[str, pl.DataFrame] = {}
    for source in sorted(set(drawn["source"])):
        mine = drawn.filter(pl.col("source") == source)
        wanted = mine.rename({c: f"span.{c}" for c in mine.columns if c not in PLACE})
        tables = [
            pl.scan_parquet(job.documents(source) / f"{part}.parquet", glob=False)
            .filter(pl.col("input").is_in(wanted["input"].unique().implode()))
            .join(wanted.lazy(), on=PLACE, how="inner")
            .collect()
            for part in job.part_names(source)
        ]
        found[source] = pl.concat(tables).unique("span.row", keep="first").sort("span.row")
    return found


def _contents(texts: "Mapping[str, pl.DataFrame]") -> Iterator[Finding]:
    """The store's texts are those that were mixed."""
    for source, table in texts.items():
        rows = table.select("span.row", "text", "content").iter_rows()
        for row, text, content in rows:
            if sha256(text.encode()).digest()[:16] != content:
                what = f"the text that the store has of {source} is not the document's"
                yield Finding("text", SPANS, f"row {row}", what)


def _models(mix: "Opened", name: str, declared: Mapping[str, Any]) -> Iterator[Finding]:
    """The models that the manifest names are those of the recipe's lock."""
    from curate import taggers

    said = {m["name"]: m["sha256"] for m in mix.origin["taggers"].get(name, {}).get("models", [])}
    found = {m["name"]: m["sha256"] for m in taggers.models(declared)}
    if said != found:
        where = f"origin.taggers.{name}.models"
        yield Finding("model", "manifest.json", where, "are not the models that the recipe locks")


def _tags(job: Job, name: str, declared: Mapping[str, Any], n: int, seed: int) -> Iterator[Finding]:
    """Scores in the store's tags."""
    from curate.taggers.retag import retagged

    for source in sorted(job.recipe.sources):
        folder, tags = job.documents(source), job.tags(source, name)
        parts = [
            (part, folder / f"{part}.parquet", tags / f"{part}.parquet")
            for part in job.part_names(source)
        ]
        try:
            retagged(parts, declared, n=n, seed=seed)
        except IntegrityError as error:
            what = "; ".join([error.message, *error.details])
            yield Finding("score", f"tags of {source}", name, what)


def _spans(
    texts: "Mapping[str, pl.DataFrame]", name: str, declared: Mapping[str, Any]
) -> Iterator[Finding]:
    """Scores in the mix's spans."""
    from curate import taggers
    from curate.taggers import work
    from curate.taggers.probe import TOLERANCE
    from curate.taggers.retag import compared

    tagger = work.opened(declared)
    tolerance = TOLERANCE[declared.get("precision", "fp32")]
    for source, table in texts.items():
        again = tagger.tag(table)
        for column in taggers.columns(declared):
            if f"span.{column}" not in table.columns:
                yield Finding("score", SPANS, column, "is not among the columns")
                continue
            rows = table["span.row"].to_list()
            pairs = zip(table[f"span.{column}"].to_list(), again[column].to_list(), strict=True)
            for row, (said, found) in zip(rows, pairs, strict=True):
                if compared([said], [found], tolerance=tolerance)[1]:
                    what = f"{column} of {source} is {said}, the model gives {found}"
                    yield Finding("score", SPANS, f"row {row}", what)
