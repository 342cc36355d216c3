"""Turn `curate plan RECIPE` into the arithmetic of its mixes, before or after the pools exist."""

from pathlib import Path

import click

from curate.cli import console
from curate.cli.options import json_option, out_option, recipe_argument, store_option
from curate.errors import UsageError


@click.command()
@recipe_argument
@store_option
@out_option
@click.option(
    "--assume",
    multiple=True,
    metavar="SOURCE=TOKENS",
    help="Plan from a stated pool size; repeat for every source, or give TOKENS for all.",
)
@click.option("--make", "as_make", is_flag=True, help="Print the rules that make these mixes.")
@json_option
def command(
    recipe: Path, store: Path, out: Path, assume: tuple[str, ...], as_make: bool, as_json: bool
) -> None:
    """
    Print what RECIPE would mix: arms, exact tokens, shares, epochs, what each clause drops.

    Without pools in the store, state their sizes; every number that rests on one is marked.

    \b
    curate plan recipes/c4-4chan.toml --assume c4=30_000_000_000 --assume pol=5_300_000_000
    """
    from curate import mixing
    from curate import recipe as recipes

    if as_make:
        from curate.run.rules import make_rules

        rules = make_rules(recipe, out)
        console.emit({"rules": rules}, as_json=as_json, text=rules)
        return
    if assume:
        loaded = recipes.load(recipe)
        facts = mixing.assume_plan(loaded, _pools(assume, list(loaded.sources)))
    else:
        from curate.run.build import plan_of
        from curate.run.job import open_read_job
        from curate.run.thresholds import resolved
        from curate.store import Store

        facts = dict(plan_of(resolved(open_read_job(recipe, store=Store(store))))[1])
    console.emit(facts, as_json=as_json, text=mixing.render(facts))


def _pools(texts: tuple[str, ...], sources: list[str]) -> dict[str, int]:
    pools: dict[str, int] = {}
    for text in texts:
        name, equals, amount = text.rpartition("=")
        digits = amount.replace("_", "").replace(",", "")
        if not digits.isdigit() or (equals and name not in sources):
            raise UsageError(
                f"--assume wants SOURCE=TOKENS, not {text!r}",
                details=[f"the sources are {', '.join(sources)}"],
                hint=f"For example: --assume {sources[0]}=30_000_000_000",
            )
        for source in [name] if equals else sources:
            pools[source] = int(digits)
    return pools
