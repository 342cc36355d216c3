"""
Turn what a person asked for into names and places: where the mixes of a recipe go.

Nothing here changes a byte of a result.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from curate import recipe
from curate.store import Store


@dataclass(frozen=True)
class Order:
    """What a person asked of a build; none of it changes a byte of the result."""

    recipe: Path
    store: Store
    out: Path = Path("mixes")
    record: Path = Path("manifests")
    workers: int = 1  # 0: one per core, where there is work for more than one
    until: str = "write"
    locked: bool = False
    wait: bool = True
    link: str = "hard"
    max_rejected: Fraction = Fraction(1, 1000)


def mix_names(loaded: recipe.Recipe) -> dict[str, str]:
    """Plan file stem → mix name, for every arm and the hold-out of a recipe."""
    names = {}
    for arm in loaded.arms():
        stem = arm.name or "mix"
        names[stem] = f"{loaded.name}-{arm.name}" if arm.name else loaded.name
    if loaded.holdout is not None:
        names["holdout"] = f"{loaded.name}-holdout"
    return names


def manifest_id(folder: Path) -> str | None:
    """The `id` that the manifest in a mix folder gives itself, or None if there is none."""
    import orjson

    try:
        return str(orjson.loads((folder / "manifest.json").read_bytes())["id"])
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
