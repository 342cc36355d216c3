"""Turn `curate build RECIPE` into finished mixes, with one progress bar per stage."""

from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from curate.cli import console
from curate.cli.options import json_option, out_option, recipe_argument, store_option


@click.command()
@recipe_argument
@store_option
@out_option
@click.option(
    "--record",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("manifests"),
    show_default=True,
    help="Folder of committed manifests: copied there if absent, compared if present.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Worker processes.  [default: one per core, where there is work for more than one]",
)
@click.option(
    "--until",
    type=click.Choice(["read", "tag", "tokenize", "plan", "write"]),
    default="write",
    help="Stop after this stage.",
)
@click.option(
    "--max-rejected",
    default="0.1 %",
    show_default=True,
    help="Most records, or bytes, of an input that may be unreadable.",
)
@click.option("--locked", is_flag=True, help="Refuse to write or change the lock.")
@click.option("--no-wait", is_flag=True, help="Exit 7 if another curate holds the store.")
@click.option(
    "--link",
    type=click.Choice(["hard", "symbolic", "copy"]),
    default="hard",
    show_default=True,
    help="How a shard gets its three names.",
)
@json_option
def command(
    recipe: Path,
    store: Path,
    out: Path,
    record: Path,
    workers: int | None,
    until: str,
    max_rejected: str,
    locked: bool,
    no_wait: bool,
    link: str,
    as_json: bool,
) -> None:
    """
    Make the mixes of RECIPE: read → tag → tokenize → plan → write.

    Does what is missing. Interrupted, run the same line again; finished, it says so.

    \b
    curate build recipes/demo.toml --workers 2
    """
    from curate.run.build import build
    from curate.run.order import Order
    from curate.store import Store

    order = Order(
        recipe=recipe,
        store=Store(store),
        out=out,
        record=record,
        workers=workers or 0,
        until=until,
        max_rejected=share(max_rejected, "--max-rejected"),
        locked=locked,
        wait=not no_wait,
        link=link,
    )
    with drawing() as listen:
        built = build(order, listen)
    lines = [f"{folder}  {built.ids[name][:16]}" for name, folder in sorted(built.mixes.items())]
    state = "up to date" if built.up_to_date else f"done: {built.reached}"
    console.emit(
        {
            "state": "up-to-date" if built.up_to_date else "done",
            "reached": built.reached,
            "mixes": {name: str(folder) for name, folder in sorted(built.mixes.items())},
            "ids": built.ids,
        },
        as_json=as_json,
        text="\n".join([*lines, state]),
    )


def share(text: str, option: str) -> Fraction:
    """An exact share such as 0.001, 1/1000 or "0.1 %"; UsageError if it is none."""
    from curate.errors import UsageError
    from curate.recipe.read import amount

    try:
        return amount(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


class drawing:
    """Draw a run's events on the console: one bar per stage."""

    def __enter__(self) -> Callable[[Any], None]:
        self._stack = ExitStack()
        self._advance: Callable[[int], None] = lambda n: None
        return self._listen

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _listen(self, event: Any) -> None:
        from curate.run import events

        if isinstance(event, events.Started):
            if event.n_tasks:
                bar = console.bar(event.stage, event.total, event.unit)
                self._advance = self._stack.enter_context(bar)
        elif isinstance(event, events.Advanced):
            self._advance(event.n)
        elif isinstance(event, events.Finished):
            self._stack.close()
            self._advance = lambda n: None
        else:
            console.note(event.text)
