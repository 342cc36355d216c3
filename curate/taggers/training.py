"""
Turn a declared training recipe and labelled sets into a fastText model, the same bytes each time.

    >>> from pathlib import Path
    >>> recipe = TrainingRecipe.load(Path("recipes/taggers/toxicity.toml"))
    >>> recipe.name, recipe.label, recipe.sets[0].name
    ('toxicity', 'toxic', 'davidson')
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from curate.errors import RecipeError
from curate.taggers.corpora import LabelledSet


@dataclass(frozen=True)
class TrainingRecipe:
    """A training recipe as written: its sets, what is held out, how fastText is to learn."""

    name: str
    label: str
    seed: int
    sets: tuple[LabelledSet, ...]
    fasttext: Mapping[str, Any]
    path: Path

    @property
    def splits(self) -> Path:
        """The committed record of which row is in which split: `<recipe>.splits.parquet`."""
        return self.path.with_suffix(".splits.parquet")

    @classmethod
    def load(cls, path: Path) -> "TrainingRecipe":
        """Read a recipe; RecipeError names the file and what is wrong."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Fraction)
        except FileNotFoundError:
            raise RecipeError(f"no such recipe: {path}") from None
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{path}: {error}") from None
        valid, test = Fraction(table.get("valid", 0)), Fraction(table.get("test", 0))
        sets = []
        for name, options in table["set"].items():
            options = {"valid": valid, "test": test, **options}
            options["test"] = Fraction(options["test"])
            options["valid"] = min(Fraction(options["valid"]), 1 - options["test"])
            options["files"] = tuple(options["files"])
            sets.append(LabelledSet(name=name, **options))
        return cls(
            name=table["name"],
            label=table["label"],
            seed=table["seed"],
            sets=tuple(sets),
            fasttext=table["fasttext"],
            path=path,
        )
