"""Check that a mix is what its manifest says."""

from pathlib import Path
from typing import Any

import click

from curate.cli import console
from curate.cli.mixes import folder_of, mix_argument
from curate.cli.options import json_option, out_option
from curate.errors import UsageError


@click.command()
@mix_argument
@click.option("--read-data", is_flag=True, help="Read every file and compare its sha256.")
@click.option(
    "--read-data-subset",
    metavar="N/T",
    help="Read the N-th of T sets of files: T runs with N = 1 … T read everything.",
)
@click.option(
    "--semantic",
    is_flag=True,
    help="Recount every number from shards and spans, derive sidecars and laws again.",
)
@click.option("--all", "everything", is_flag=True, help="--read-data and --semantic.")
@click.option(
    "--retokenize",
    metavar="N|all",
    help="Encode the text of N documents again and compare the ids.",
)
@click.option(
    "--retag",
    type=click.IntRange(1),
    metavar="N",
    help="Score N documents of the mix, and of each source, again: needs the store.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draws what is drawn.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A committed manifest that the mix's must equal, byte for byte.",
)
@click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Check an export of the mix too: digests, and every value of side arrays. Repeatable.",
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="Build the recipe again in a temporary folder: is it the same content?",
)
@click.option(
    "--recipe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --rebuild, --retag: the recipe; by default recipes/<name>.toml.",
)
@click.option(
    "--store",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --retag: the store, by default store; with --rebuild: a store whose results may be "
    "used, by default all is made again.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="With --rebuild."
)
@out_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    mix: str,
    read_data: bool,
    read_data_subset: str | None,
    semantic: bool,
    everything: bool,
    retokenize: str | None,
    retag: int | None,
    seed: int,
    record: Path | None,
    exports: tuple[Path, ...],
    rebuild: bool,
    recipe: Path | None,
    store: Path | None,
    workers: int,
    out: Path,
    as_json: bool,
) -> None:
    """
    Check that a mix is what its manifest says.

    MIX is a mix folder, its manifest, or mix@version. Without options: names, links, sizes and the
    manifest's own arithmetic. Each run ends with what it did not check; nothing is ever repaired.
    Exit code 3 if anything is not what it says.

    \b
    Example:
      curate verify mixes/demo-10pct/1.0.0 --all
    """
    from curate.audit.verify import verify

    folder = folder_of(mix, out)
    report = verify(
        folder,
        read_data=read_data or everything or read_data_subset is not None,
        subset=_subset(read_data_subset),
        semantic=semantic or everything,
        retokenize=_count(retokenize),
        seed=seed,
        record=record,
        exports=exports,
        progress=lambda what, total: console.bar(what, total, "B"),
    )
    if retag is not None:
        report = _retagged(report, folder, recipe, store, retag, seed)
    if rebuild:
        report = _rebuilt(report, folder, recipe, store, workers)
    mark = folder.resolve().parent / f"{report.version}.superseded.json"
    if mark.is_file():
        console.note(f"note: {folder} is superseded: {mark.read_text('utf-8').strip()}")
    console.emit(report.as_json(), as_json=as_json, text=report.render())
    if not report.ok:
        context.exit(3)


def _rebuilt(
    report: Any, folder: Path, recipe: Path | None, store: Path | None, workers: int
) -> Any:
    """The report with what building again found."""
    from dataclasses import replace

    from curate.audit.opened import open_mix
    from curate.run.rebuild import rebuild

    mix = open_mix(folder)
    recipe = _recipe_of(mix, recipe)
    secret = (store or Path("store")) / "removals.key"
    found = rebuild(mix, recipe=recipe, store=store, secret=secret, workers=workers)
    return replace(
        report,
        findings=(*report.findings, *found),
        checked=(*report.checked, f"built again from {recipe}: content_id compared"),
        not_checked=tuple(line for line in report.not_checked if "--rebuild" not in line),
    )


def _retagged(
    report: Any, folder: Path, recipe: Path | None, store: Path | None, n: int, seed: int
) -> Any:
    """The report with what scoring again found."""
    from dataclasses import replace

    from curate.audit.findings import capped
    from curate.audit.opened import open_mix
    from curate.run.retag import retag

    mix = open_mix(folder)
    found = retag(mix, recipe=_recipe_of(mix, recipe), store=store or Path("store"), n=n, seed=seed)
    return replace(
        report,
        findings=(*report.findings, *capped(found.findings)),
        checked=(*report.checked, *found.checked),
        not_checked=(*report.not_checked, *found.not_checked),
    )


def _recipe_of(mix: Any, recipe: Path | None) -> Path:
    recipe = recipe or Path("recipes") / f"{mix.origin['recipe']['name']}.toml"
    if not recipe.is_file():
        raise UsageError(f"there is no {recipe}", hint="Name the recipe with --recipe.")
    return recipe


def _subset(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 1
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal()):
        raise UsageError(f"--read-data-subset is N/T, not {text!r}", hint="For example 1/10.")
    return int(part), int(parts)


def _count(text: str | None) -> int | None:
    if text is None:
        return 0
    if text == "all":
        return None
    if not text.isdecimal():
        raise UsageError(f"--retokenize is a number or all, not {text!r}")
    return int(text)
