"""Turn the options that several commands share into one decorator each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    """`--json`: the result (and any error) as one JSON object on stdout → `as_json: bool`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(function)


def store_option(function: Function) -> Function:
    """`--store DIR`: where intermediate results live → `store: Path`."""
    return click.option(
        "--store",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("store"),
        envvar="CURATE_STORE",
        show_default=True,
        help="Folder of intermediate results.",
    )(function)


def out_option(function: Function) -> Function:
    """`--out DIR`: where mixes are written → `out: Path`."""
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("mixes"),
        envvar="CURATE_OUT",
        show_default=True,
        help="Folder of finished mixes.",
    )(function)


def recipe_argument(function: Function) -> Function:
    """RECIPE, a TOML file → `recipe: Path`."""
    return click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))(
        function
    )
