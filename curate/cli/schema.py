"""Turn `curate schema recipe|manifest` into the JSON Schema of recipes or manifests."""

import json

import click

from curate.cli import console


@click.command()
@click.argument("what", type=click.Choice(["recipe", "manifest"]))
def command(what: str) -> None:
    """
    Print the JSON Schema of recipes or manifests.

    With the schema of recipes in a file, an editor that knows TOML completes and checks them: put
    `#:schema recipe.schema.json` on top of a recipe.

    \b
    curate schema recipe > recipe.schema.json
    """
    if what == "recipe":
        from curate.recipe.schema import schema
    else:
        from curate.manifest import schema
    found = schema()
    console.emit(found, as_json=False, text=json.dumps(found, indent=1, ensure_ascii=True))
