"""
Turn a folder with all files of a mix into a finished mix: tables of long lists, sums, manifest.

The manifest is written last; a folder without one is not a mix.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate import files, manifest, shards


def seal(
    folder: Path,
    *,
    name: str,
    version: str,
    content: Mapping[str, Any],
    origin: Mapping[str, Any],
    estimates: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write what docs/format.md §5.4 and §5.5 ask for; returns the manifest."""
    short, briefly, tables = manifest.shorten(content, origin)
    for table, rows in tables.items():
        with files.replacing(folder / table) as temporary:
            rows.write_parquet(temporary)
    sums = shards.sums(folder, content)
    made = manifest.build(
        name=name,
        version=version,
        content=short,
        origin=briefly,
        files=sums.facts,
        estimates=estimates or None,
    )
    data = manifest.to_bytes(made)
    files.write_bytes(folder / "SHA256SUMS", sums.text(data))
    files.write_bytes(folder / manifest.FILE_NAME, data)
    return made
