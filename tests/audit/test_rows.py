"""Rows of spans.parquet that say something else than the mix: each kind of lie by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.audit.verify import verify
from tests.audit.conftest import Mix
from tests.audit.damage import manifest_of
from tests.tiny_files import seal
from tests.tiny_mix import web, write


def rewritten(folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    """The mix with other rows, sealed again."""
    path = folder / "spans.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    seal(folder, manifest_of(folder))
    return folder


def at(row: int, column: str, value: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """One cell changed."""
    return lambda t: t.with_columns(
        pl.when(pl.int_range(pl.len()) == row)
        .then(pl.lit(value, dtype=t.schema[column]))
        .otherwise(pl.col(column))
        .alias(column)
    )


@pytest.mark.parametrize(
    ("change", "kind", "where"),
    [
        (at(2, "id", "4chan:pol/1"), "identity", "row 2"),
        (at(2, "group", b"g" * 16), "identity", "row 2"),
        (at(2, "input", "f" * 16), "identity", ""),
        (at(2, "component", "other"), "component", "component other"),
        (at(2, "source", "board"), "component", "component clean"),
        (at(2, "start", 1), "tiling", "row 2"),
        (at(2, "n_inserted", 99), "count", "row 2"),
        (at(2, "digest", b"d" * 16), "span", None),
        (at(2, "content", b"c" * 16), "text", None),
        (at(2, "n_bytes", 1), "text", None),
        (at(2, "epoch", 1), "order", None),
        (at(2, "cut", True), "count", "content.components.clean.cut"),
        (at(2, "offset", 7), "sidecar", "line 3"),
        (at(2, "key", b"k"), "spans", ""),
        (at(2, "key", None), "spans", ""),
        (at(2, "shard", 9), "spans", ""),
        (lambda t: t.drop("digest"), "spans", ""),
        (lambda t: t.with_columns(pl.col("epoch").cast(pl.Int64)), "spans", ""),
        (lambda t: t.head(15), "tiling", None),
        (lambda t: pl.concat([t, t.tail(1)]), "tiling", None),
    ],
)
def test_a_row_that_lies_is_named(
    make: Mix, change: Callable[[pl.DataFrame], pl.DataFrame], kind: str, where: str | None
) -> None:
    """Every column is held against something else."""
    folder = rewritten(make(shard_tokens=10_000), change)

    found = [f for f in verify(folder, read_data=True, semantic=True).findings if f.kind == kind]
    assert found
    assert where is None or where in {f.where for f in found}


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (
            ("windows", "1024", "n_dropped"),
            {"clean": 399, "toxic": 101},
            "content.windows.1024.n_dropped",
        ),
        (("components", 0, "cut", 0, "n_tokens_whole"), 3, "content.components.clean.cut[0]"),
        (("components", 0, "stream_digest"), "0" * 64, "content.components.clean.stream_digest"),
        (("components", 0, "cut"), [], "content.components.clean.cut"),
        (("n_documents",), 15, "content.n_documents"),
        (("merkle_root",), "0" * 64, "content.merkle_root"),
    ],
)
def test_numbers_that_only_the_spans_disprove_are_named(
    make: Mix, path: tuple[str | int, ...], value: Any, where: str
) -> None:
    """Sums agree, and still the spans give something else."""
    folder = make(shard_tokens=10_000)
    lie = manifest_of(folder)
    place: Any = lie["content"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    seal(folder, lie)

    assert where in {f.where for f in verify(folder, semantic=True).findings if f.kind == "count"}


@pytest.mark.parametrize(
    ("period", "n"),
    [
        ({"from": "2019-02-12", "to": "2019-12-31"}, 0),
        ({"from": "2019-02-13", "to": "2019-12-31"}, 1),
        ({"from": "2019-01-01", "to": "2019-02-12"}, 1),
    ],
)
def test_no_document_is_of_another_time_than_its_source(
    tmp_path: Path, period: dict[str, str], n: int
) -> None:
    """Pages of 12 and 13 February 2019 (1,550,000,000 is in the evening of the 12th)."""
    pages = [web(f"Page {page}.", page) for page in (0, 1)]
    folder = write(tmp_path / "t" / "1", documents=pages)
    facts = manifest_of(folder)
    facts["origin"]["sources"]["pages"]["period"] = period
    seal(folder, facts)
    found = [f.where for f in verify(folder, semantic=True).findings]

    assert ["origin.sources.pages.period"] * n == found
