"""Turn a mix into findings, and name what tests damage."""

import json
from pathlib import Path
from typing import Any

from curate.audit.verify import verify


def kinds(folder: Path, **levels: Any) -> set[str]:
    """The kinds of findings."""
    return {f.kind for f in verify(folder, threads=1, **levels).findings}


def files(folder: Path, **levels: Any) -> set[str]:
    """The files that findings name."""
    return {f.file for f in verify(folder, threads=1, **levels).findings}


def everything(folder: Path) -> set[str]:
    """The kinds of findings of `--all`."""
    return kinds(folder, read_data=True, semantic=True)


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest, unchecked."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return found


def npy(folder: Path, number: int = 0) -> Path:
    """The ids of a shard."""
    return sorted((folder / "shards").glob("*.npy"))[number]
