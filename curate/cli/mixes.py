"""Turn MIX on a command line into the folder of a finished mix."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from curate.audit.opened import Opened

Function = TypeVar("Function", bound=Callable[..., Any])


def mix_argument(function: Function) -> Function:
    """MIX: a mix folder, its manifest, or `mix@version` below `--out` → `mix: str`."""
    return click.argument("mix")(function)


def opened(mix: str, out: Path) -> "Opened":
    """The mix that `mix` means."""
    from curate.audit.opened import open_mix

    return open_mix(mix, out)


def folder_of(mix: str, out: Path) -> Path:
    """The folder that `mix` means, whether its manifest can be read or not."""
    from curate.manifest import FILE_NAME, locate

    path = locate(mix, out)
    return path.parent if path.name == FILE_NAME else path
