"""Worlds of one's own: each kind is built once, tests get copies."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.run.build import build
from curate.run.order import Order
from curate.store import Store
from tests.remove.world import RECIPE, World, dump


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """Builds each kind of world once; tests get copies."""
    made: dict[str, Path] = {}

    def make(tokenizer: str = "", epochs: int = 1, twins: bool = False) -> Path:
        name = f"{tokenizer}{epochs}{twins}"
        if name not in made:
            folder = tmp_path_factory.mktemp("world")
            small = epochs > 1
            dump(folder / "web.json.gz", 20 if small else 160, 1, twins)
            dump(folder / "rude.json.gz", 14 if small else 60, 2)
            (folder / "tiny.toml").write_text(RECIPE.format(tokenizer=tokenizer, epochs=epochs))
            before = Path.cwd()
            os.chdir(folder)
            try:
                build(
                    Order(
                        recipe=folder / "tiny.toml",
                        store=Store(folder / "store"),
                        out=folder / "mixes",
                        record=folder / "manifests",
                    )
                )
            finally:
                os.chdir(before)
            made[name] = folder
        return made[name]

    yield make


@pytest.fixture
def world(
    built: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., World]:
    """A world of one's own; relative names of its recipe are found from its folder."""

    def make(**kind: Any) -> World:
        folder = tmp_path / "world"
        shutil.copytree(built(**kind), folder, symlinks=True)
        monkeypatch.chdir(folder)
        return World(folder)

    return make
