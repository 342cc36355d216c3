"""Side arrays have one value for each token, and a check that makes them again finds any other."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from curate.cli import export as command
from curate.errors import UsageError
from curate.mix import Mix
from curate.shards import exports, trainers
from curate.shards.exports import sides
from tests import tiny_mix

ARRAYS = ("mask:toxicity<0.05", "bucket:toxicity:0.05,0.52", "score:toxicity")


@pytest.fixture
def mix(tmp_path: Path) -> Mix:
    """Twenty documents; those of clean have toxicity 0.00, 0.01, …, of toxic 0.50, 0.51, …"""
    return Mix.open(
        tiny_mix.write(
            tmp_path / "mix" / "1.0.0",
            name="tiny",
            documents=tiny_mix.some_documents(),
            shard_tokens=300,
        )
    )


def expected(mix: Mix, kind: str) -> list[float]:
    """Token by token, in plain Python."""
    found: list[float] = []
    for toxicity, n in (
        pl.read_parquet(mix.folder / "spans.parquet").select("toxicity", "n_tokens").iter_rows()
    ):
        if kind == "mask":
            found += [int(toxicity < np.float32(0.05))] * n
        elif kind == "bucket":
            bucket = 1 + (toxicity >= np.float32(0.05)) + (toxicity >= np.float32(0.52))
            found += [bucket] * (n - 1) + [0]
        else:
            found += [float(np.float16(toxicity))] * (n - 1) + [0.0]
    return found


@pytest.mark.parametrize("kind", ["mask", "bucket", "score"])
def test_each_token_has_its_value(mix: Mix, tmp_path: Path, kind: str) -> None:
    """Arrays are aligned with the shard of their name, and as long in tokens."""
    exports.export(mix, "sides", tmp_path / "out", side=ARRAYS)
    found = [
        np.fromfile(tmp_path / "out" / f"{shard['name']}.{kind}", sides.DTYPES[kind])
        for shard in mix.shards
    ]

    assert [shard["n_tokens"] for shard in mix.shards] == [len(array) for array in found]
    assert expected(mix, kind) == np.concatenate(found).tolist()


def test_blocks_change_no_byte(mix: Mix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few spans are repeated at once."""
    whole = exports.export(mix, "sides", tmp_path / "whole", side=ARRAYS)
    monkeypatch.setattr(sides, "BLOCK_SPANS", 2)

    assert whole == exports.export(mix, "sides", tmp_path / "lots", side=ARRAYS)


def test_a_check_accepts_what_was_written(mix: Mix, tmp_path: Path) -> None:
    """Every layout, made again, is what it is."""
    for to in exports.WRITERS:
        if to != "arrayrecord":
            exports.export(mix, to, tmp_path / to, window=64, side=ARRAYS if to == "sides" else ())
            assert [] == exports.check(mix, tmp_path / to), to


def test_a_check_finds_a_shifted_mask(mix: Mix, tmp_path: Path) -> None:
    """One token late is one document's last token wrong: found, though nothing else can tell."""
    exports.export(mix, "sides", tmp_path / "out", side=ARRAYS)
    path = tmp_path / "out" / f"{mix.shards[0]['name']}.mask"
    path.write_bytes(np.roll(np.fromfile(path, "u1"), 1).tobytes())
    arguments = [str(mix.folder), "--to", "sides", "--out", str(tmp_path / "out"), "--check"]

    assert [f"{path.name}: is not what the mix gives"] == exports.check(mix, tmp_path / "out")
    assert "is not the export" in str(CliRunner().invoke(command.command, arguments).exception)


def test_a_check_finds_what_is_missing_or_more(mix: Mix, tmp_path: Path) -> None:
    """Files that went, files that came, and a record that was edited."""
    exports.export(mix, "litdata", tmp_path / "out")
    (tmp_path / "out" / "chunk-0-0.bin").unlink()
    (tmp_path / "out" / "notes.txt").write_text("x")
    record = tmp_path / "out" / "curate-export.json"
    record.write_text(record.read_text().replace('"n_bytes":', '"n_bytes":1'))

    assert [
        "chunk-0-0.bin: is missing",
        "curate-export.json gives other files or digests",
        "notes.txt: is not of this export",
    ] == exports.check(mix, tmp_path / "out")


@pytest.mark.parametrize(
    "text",
    ["mask", "mask:toxicity", "bucket:toxicity", "bucket:toxicity:2,1", "tag:x", "mask:a<b", ""],
)
def test_what_is_no_side_array_is_refused(text: str) -> None:
    """The message shows what one looks like."""
    with pytest.raises(UsageError, match="cannot read the side array"):
        sides.parse(text)


def test_a_document_without_a_score_is_refused(tmp_path: Path) -> None:
    """No value is made up for its tokens."""
    documents = [tiny_mix.web("scored", 1, toxicity=0.5), tiny_mix.web("unscored", 2)]
    mix = Mix.open(tiny_mix.write(tmp_path / "mix", name="tiny", documents=documents))

    with pytest.raises(UsageError, match="1 spans have no toxicity"):
        exports.export(mix, "sides", tmp_path / "out", side=["score:toxicity"])
    with pytest.raises(UsageError, match="has no score 'insult'"):
        exports.export(mix, "sides", tmp_path / "out", side=["score:insult"])


def test_olmo_core_is_told_of_masks(mix: Mix, tmp_path: Path) -> None:
    """Label masks stand in the order of their shards."""
    exports.export(mix, "sides", tmp_path / "out", side=ARRAYS)
    told = trainers.configuration(mix, "olmo-core", sequence=32, batch=2, export=tmp_path / "out")
    places = [told.index(f"{shard['name']}.mask") for shard in mix.shards]

    assert sorted(places) == places
    assert "label_mask_paths=[" in told
