"""
Turn the name of a model into a file whose digest is known, and its card.

A model is `builtin:<name>` (shipped in `curate/models/`), a path, or a URL that was fetched before
(`curate lock` keeps it by digest in the cache; a URL must be pinned by `sha256 = …`). The card is
the JSON beside it: what its labels mean, its golden scores, its licences.

    >>> located("builtin:nothing")
    Traceback (most recent call last):
      ...
    curate.errors.RecipeError: no built-in model "nothing"; there are: toxicity
"""

import functools
import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from curate import files
from curate.errors import InputError, IntegrityError, RecipeError

BUILTIN = "builtin:"
_REMOTE = ("http://", "https://", "hf://", "s3://")


def builtin_folder() -> Path:
    """Where the shipped models lie."""
    return Path(str(resources.files("curate"))) / "models"


def cache_folder() -> Path:
    """Where models fetched from URLs lie, by digest: `$CURATE_CACHE/models` or the user's cache."""
    root = os.environ.get("CURATE_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "curate") / "models"


def is_remote(model: str) -> bool:
    """Whether `model` is a URL."""
    return model.startswith(_REMOTE)


def located(model: str, sha256: str = "") -> Path:
    """The file or folder that `model` names; RecipeError or InputError if there is none."""
    if model.startswith(BUILTIN):
        name = model.removeprefix(BUILTIN)
        for suffix in (".ftz", ".bin"):
            path = builtin_folder() / (name + suffix)
            if path.is_file() and "/" not in name:
                return path
        known = sorted(p.stem for p in builtin_folder().glob("*.ftz"))
        raise RecipeError(f'no built-in model "{name}"; there are: {", ".join(known)}')
    if is_remote(model):
        if not sha256:
            raise RecipeError(
                f"{model} is a URL without a digest", hint='Pin it: sha256 = "<64 hex digits>".'
            )
        path = cache_folder() / sha256
        if not path.exists():
            raise InputError(
                f"{model} was not fetched yet", hint=f"Put its file at {path}, or fetch it first."
            )
        return path
    path = Path(model)
    if not path.exists():
        raise InputError(f"no such model: {model}")
    return path


def place(declaration: Mapping[str, Any]) -> Path:
    """Where the model of a declaration lies now."""
    return located(declaration["model"], declaration["sha256"])


def listed(path: Path) -> list[Path]:
    """The files of a model: itself, or those of its folder, by name."""
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    return [path]


def checked(path: Path, sha256: str) -> None:
    """Raise IntegrityError unless `path` has that digest."""
    found = digest(path)
    if found != sha256:
        raise IntegrityError(
            f"{path.name} is not the model that was declared",
            details=[f"declared {sha256}", f"found    {found}"],
        )


def digest(path: Path) -> str:
    """sha256 of a model file; of a folder: of the lines `<sha256>  <name>` of its files."""
    state = tuple((p, p.stat().st_size, p.stat().st_mtime_ns) for p in listed(path))
    return _digest(path, state)


@functools.cache
def _digest(path: Path, state: tuple[tuple[Path, int, int], ...]) -> str:
    import hashlib

    if not path.is_dir():
        return files.sha256_of(path)
    lines = [f"{files.sha256_of(each)}  {each.name}\n" for each, _, _ in state]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def card(path: Path) -> dict[str, Any]:
    """What `<model>.json` beside a model file, or `card.json` in a folder, says; {} without one."""
    try:
        place = path / "card.json" if path.is_dir() else path.with_suffix(".json")
        found: dict[str, Any] = json.loads(place.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if found.get("format") == "curate-model/1" else {}


def is_shipped(declaration: Mapping[str, Any]) -> bool:
    """Whether the model of a declaration is one that came with this package, byte for byte."""
    model, sha256 = str(declaration["model"]), str(declaration["sha256"])
    return model.startswith(BUILTIN) and sha256 == card(located(model)).get("sha256")


def name_of(declaration: Mapping[str, Any]) -> str:
    """What errors call the model of a declaration."""
    return f"[tagger.{declaration['name']}] {declaration['model']}"
