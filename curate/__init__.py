"""
Turn raw dumps into token-exact, versioned, auditable mixes for language-model training.

The command line is `curate`; in Python a finished mix is opened with `curate.open`:

    import curate
    mix = curate.open("mixes/demo-10pct/1.0.0")
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["__version__", "open"]

if TYPE_CHECKING:
    from curate.mix import Mix


def open(manifest: str) -> "Mix":  # noqa: A001 - `curate.open` is the documented name
    """Open a finished mix: a manifest path, a mix folder, or `name@version` under `mixes/`."""
    from curate.mix import Mix

    return Mix.open(manifest)
