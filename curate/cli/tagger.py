"""Turn `curate tagger train | evaluate | calibrate | show | export` into models and numbers."""

import json
from pathlib import Path
from typing import Any

import click

from curate.cli import console
from curate.cli.options import json_option, recipe_argument, store_option

DATA = click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that holds the labelled sets the recipe names.",
)


@click.group()
def command() -> None:
    """Train, evaluate, calibrate and show taggers."""


@command.command()
@recipe_argument
@DATA
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Model to write."
)
@click.option("--new-splits", is_flag=True, help="Draw the held-out rows anew and record them.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@json_option
def train(
    recipe: Path, data: Path, out: Path, new_splits: bool, force: bool, as_json: bool
) -> None:
    """
    Train a fastText model by a training RECIPE: the same bytes for the same data and wheel.

    \b
    curate tagger train recipes/taggers/toxicity.toml --data ../shared/data --out toxicity.ftz
    """
    from curate.errors import UsageError
    from curate.taggers import corpora, training

    if out.exists() and not force:
        raise UsageError(f"{out} is already there", hint="Add --force to replace it.")
    told = training.TrainingRecipe.load(recipe)
    if new_splits:
        if told.splits.exists() and not force:
            raise UsageError(f"{told.splits} is already there", hint="Add --force to replace it.")
        corpora.record(told.sets, data, told.seed, told.splits)
    rows = training.labelled(told, data)
    votes = training.voted(told, rows, data)
    console.note(f"{rows.height:,} labelled rows, {votes.height:,} texts with votes")
    facts = training.train(told, rows.filter(split="train"), votes, out)
    console.emit(
        {"file": str(out), **facts},
        as_json=as_json,
        text=f"{out}  {facts['bytes']:,} bytes from {facts['n_lines']:,} lines\n"
        f"sha256 {facts['sha256']}",
    )


@command.command()
@recipe_argument
@DATA
@click.option(
    "--model", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Model to measure. [default: the shipped one of the recipe's name]",
)  # fmt: skip
@click.option("--unseen", is_flag=True, help="Also train without each set, and measure on it.")
@click.option(
    "--beside", is_flag=True, help="Also fit TF-IDF + logistic regression (scikit-learn)."
)
@click.option("--check", is_flag=True, help="Exit 3 unless every number is that of the card.")
@click.option("--write", is_flag=True, help="Write the numbers into the card.")
@json_option
def evaluate(
    recipe: Path,
    data: Path,
    model: Path | None,
    unseen: bool,
    beside: bool,
    check: bool,
    write: bool,
    as_json: bool,
) -> None:
    """
    Measure a model on held-out rows: every number of its card.

    \b
    curate tagger evaluate recipes/taggers/toxicity.toml --data ../shared/data --check
    """
    from curate.taggers import card, evaluate, shelf, training

    told = training.TrainingRecipe.load(recipe)
    path = model or shelf.located(f"builtin:{told.name}")
    rows = training.labelled(told, data)
    found = evaluate.measured(told, rows, path, unseen=unseen, beside=beside)
    recorded = shelf.card(path)
    if check:
        wanted = card.like(recorded.get("metrics", {}), found)
        n = card.compared(wanted, found, what=path.name)
        console.note(f"{n:,} numbers agree with the card")
    if write:
        card.updated(path, told, found)
        console.note(f"wrote {path.with_suffix('.json')} and {path.with_suffix('.md')}")
    console.emit(found, as_json=as_json, text="\n".join(card.summary(found)))


@command.command()
@recipe_argument
@store_option
@click.option("--source", "sources", multiple=True, help="Only this source; again for more.")
@json_option
def calibrate(recipe: Path, store: Path, sources: tuple[str, ...], as_json: bool) -> None:
    """
    Tag a sample by each tagger of RECIPE that `calibrates`, and say what the cheap score is worth.

    The recipe must have been read and tagged: curate build RECIPE --until tag.

    \b
    curate tagger calibrate recipes/mine.toml
    """
    from curate import taggers
    from curate.errors import UsageError
    from curate.run import job as jobs
    from curate.store import Store

    job = jobs.open_job(recipe, store=Store(store))
    dear = {name: told for name, told in job.taggers.items() if "calibrates" in told}
    if not dear:
        raise UsageError(
            f"no tagger of {recipe} calibrates another", hint='Add calibrates = "toxicity" to one.'
        )
    made: dict[str, Any] = {}
    lines = []
    with job.store.locked():
        for name, told in dear.items():
            for source in sources or sorted(job.recipe.sources):
                parts = [
                    (
                        part,
                        job.documents(source) / f"{part}.parquet",
                        job.tags(source, told["calibrates"]) / f"{part}.parquet",
                    )
                    for part in job.part_names(source)
                ]
                with console.bar(f"{name} of {source}", told["sample"], "documents") as advance:
                    facts = taggers.calibrate_source(
                        parts, told, out=job.tags(source, name), progress=advance
                    )
                made.setdefault(name, {})[source] = facts
                lines += _curve(source, facts)
    console.emit(made, as_json=as_json, text="\n".join(lines))


@command.command()
@click.argument("model")
@json_option
def show(model: str, as_json: bool) -> None:
    """
    Show a MODEL (builtin:NAME, a file, a folder): its digest, labels, card and golden scores.

    \b
    curate tagger show builtin:toxicity
    """
    from curate.taggers import shelf, shown

    path = shelf.located(model)
    result = shown.shown(path)
    console.emit(result, as_json=as_json, text="\n".join(shown.lines(result)))


@command.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--texts", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="UTF-8 lines to measure the differences on. [default: five sentences]",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace what is there.")
@json_option
def export(folder: Path, texts: Path | None, force: bool, as_json: bool) -> None:
    """
    Write a Detoxify FOLDER's network for ONNX Runtime, fp32 and int8, and how far they differ.

    \b
    curate tagger export models/original
    """
    from curate.taggers import export as exports

    lines = texts.read_text(encoding="utf-8").split("\n") if texts else []
    result = exports.exported(folder, texts=[line for line in lines if line], force=force)
    console.emit(result, as_json=as_json, text=json.dumps(result, indent=1))


def _curve(source: str, facts: dict[str, Any]) -> list[str]:
    """The calibration of one source at eleven cheap scores, with its band."""
    import numpy as np

    from curate.taggers.calibrate import Calibration

    fitted = Calibration.from_json(facts["map"])
    lines = [
        f"{source}: {facts['n_sampled']:,} documents sampled",
        f"  error {facts['error_before']} → {facts['error_after']}",
        f"  {facts['cheap']:>10}  calibrated  95 % band",
    ]
    for step in range(11):
        place = step * (len(fitted.low) - 1) // 10
        value = float(np.interp(step / 10, fitted.x, fitted.y))
        band = f"{fitted.low[place]:.3f} – {fitted.high[place]:.3f}"
        lines.append(f"  {step / 10:>10.1f}  {value:>10.3f}  {band}")
    return lines
