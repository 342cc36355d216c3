"""A tiny mix that questions are asked about, and what is known of it by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.audit.opened import Opened, open_mix
from tests.tiny_mix import WHERE, some_documents, write

BUDGETS = {"clean": 400, "toxic": 100}
DOCUMENTS = some_documents()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mix that questions are about: 16 documents in three shards."""
    place = tmp_path_factory.mktemp("mixes") / "tiny" / "1.0.0"
    return write(place, documents=DOCUMENTS, budgets=BUDGETS, shard_tokens=200, where=WHERE)


@pytest.fixture(scope="session")
def mix(folder: Path) -> Opened:
    """The same, opened."""
    return open_mix(folder)


def spans_of(folder: Path) -> list[dict[str, Any]]:
    """All rows, read without the package."""
    return pl.read_parquet(folder / "spans.parquet").to_dicts()


Mix = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Mix:
    """Makes whole mixes: 16 spans of two components in three shards unless told otherwise."""

    def made(name: str = "1.0.0", **how: Any) -> Path:
        options: dict[str, Any] = {"budgets": BUDGETS, "shard_tokens": 200, "where": WHERE} | how
        return write(tmp_path / "tiny" / name, documents=some_documents(), **options)

    return made
