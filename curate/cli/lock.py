"""Turn `curate lock RECIPE` into a lock file: every input, tokenizer and model by its digest."""

from pathlib import Path

import click

from curate.cli import console
from curate.cli.options import json_option, recipe_argument, store_option


@click.command()
@recipe_argument
@store_option
@click.option("--force", is_flag=True, help="Replace a lock that holds something else.")
@json_option
def command(recipe: Path, store: Path, force: bool, as_json: bool) -> None:
    """
    Pin every input, tokenizer and model of RECIPE by its digest.

    An existing lock that still holds is left as it is; one that does not is refused (exit 3)
    unless --force accepts what is here now.

    \b
    curate lock recipes/demo.toml
    """
    from curate import lock as locks
    from curate.run import job
    from curate.store import Store

    there = None if force else locks.load(recipe)
    _, found, _ = job.resolve(recipe, store=Store(store), locked=there)
    if there is not None:
        locks.check(there, found, recipe=recipe)
        state = "unchanged"
    else:
        job.write_lock(recipe, found)
        state = "written"
    path = locks.path_of(recipe)
    n_bytes = sum(item.n_bytes for item in found.inputs)
    console.emit(
        {"state": state, "lock": str(path), "n_inputs": len(found.inputs), "n_bytes": n_bytes},
        as_json=as_json,
        text=f"{path}  {state}: {len(found.inputs):,} inputs, {n_bytes:,} bytes",
    )
