"""
Turn documents into tags: numbers and flags about them, beside them, never inside them.

    declare           a recipe's [tagger.<name>] → a declaration: every option said, the model by
                      its digest (declare_all: all tables, those that calibrate one another too)
    identity          a declaration → what decides its columns
    models            a declaration → its model files, for the lock and the manifest
    columns           a declaration → the names and types of its columns
    tag_part          a documents part + a declaration → a tags part and its receipt
    calibrate_source  a source's parts, tagged cheaply + a declaration that `calibrates` → its tags

    >>> made = declare("toxicity", {"model": "builtin:toxicity"}, where="demo.toml")
    >>> columns(made)
    {'toxicity': 'Float32'}
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.taggers.declaration import FORMAT, declare, declare_all, identity

__all__ = [
    "FORMAT",
    "calibrate_source",
    "columns",
    "declare",
    "declare_all",
    "identity",
    "models",
    "tag_part",
]


def columns(declaration: Mapping[str, Any]) -> dict[str, str]:
    """Column name → polars type name, in the order of the tags part."""
    from curate.taggers import sampling, work

    made = sampling.columns if "calibrates" in declaration else work.columns
    return made(declaration)


def models(declaration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    The model files of a declaration: `name`, `sha256`, `bytes`, `license`; [] if it has none.

    Only strings and whole numbers: fit for a lock and for canonical JSON.
    """
    from curate import files
    from curate.taggers.shelf import listed, place

    if "model" not in declaration:
        return []
    return [
        {
            "tagger": declaration["name"],
            "name": path.name,
            "sha256": files.sha256_of(path),
            "bytes": path.stat().st_size,
            "license": declaration["license"],
        }
        for path in listed(place(declaration))
    ]


def tag_part(
    documents: Path,
    declaration: Mapping[str, Any],
    *,
    out: Path,
    part: str,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Tag one documents part (see `work.tag_part`); its receipt is written last and returned."""
    from curate.taggers import work

    return work.tag_part(documents, declaration, out=out, part=part, progress=progress)


def calibrate_source(
    parts: Sequence[tuple[str, Path, Path]],
    declaration: Mapping[str, Any],
    *,
    out: Path,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """
    Tag a sample of one source and calibrate the cheap tagger by it (see `sampling.calibrated`).

    `parts` are (name, documents part, tags part of the cheap tagger). Writes a tags part and its
    receipt for each, `sample.parquet` and `calibration.json` to `out`; returns the latter's facts.
    """
    from curate.taggers import sampling

    tagged = [sampling.TaggedPart(*part) for part in parts]
    return sampling.calibrated(tagged, declaration, out=out, progress=progress)
