"""An export holds the ids of its mix, token for token, to readers written from scratch."""

import base64
import errno
import io
import json
import os
import struct
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from curate import files
from curate.cli import export as command
from curate.errors import DiskError, IntegrityError, UsageError
from curate.mix import Mix
from curate.shards import exports
from curate.shards.exports import arrays, containers, documents
from tests import tiny_files, tiny_mix

WIDTHS = pytest.mark.parametrize("dtype", ["uint16", "uint32"])


@pytest.fixture
def mix(request: pytest.FixtureRequest, tmp_path: Path) -> Mix:
    """A mix of 20 documents in a few shards, not written by us."""
    folder = tiny_mix.write(
        tmp_path / "mix" / "1.0.0",
        name="tiny",
        documents=tiny_mix.some_documents(),
        shard_tokens=300,
        dtype=getattr(request, "param", "uint16"),
    )
    return Mix.open(folder)


def of_width(dtype: str) -> Any:
    return pytest.mark.parametrize("mix", [dtype], indirect=True)


BOTH = pytest.mark.parametrize("mix", ["uint16", "uint32"], indirect=True)


def shards_of(mix: Mix) -> list[list[int]]:
    """Ids of every shard."""
    return [np.fromfile(p, mix.dtype).tolist() for p in sorted(mix.folder.glob("shards/*.npy"))]


def documents_of(mix: Mix) -> list[list[int]]:
    """Ids of every document, cut after each EOS."""
    found: list[list[int]] = [[]]
    for token in tiny_files.ids_of(mix.folder).tolist():
        found[-1].append(token)
        if token == tiny_mix.EOS:
            found.append([])
    return found[:-1]


def read_mds(folder: Path) -> list[list[int]]:
    """Every sample of every MDS shard, as streaming/base/format/mds/reader.py finds them."""
    samples = []
    for shard in json.loads((folder / "index.json").read_bytes())["shards"]:
        raw = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert shard["raw_data"]["bytes"] == len(raw)
        assert (
            files.sha256_of(folder / shard["raw_data"]["basename"])
            == (shard["raw_data"]["hashes"]["sha256"])
        )
        (n,) = struct.unpack_from("<I", raw)
        assert shard["samples"] == n
        offsets = struct.unpack_from(f"<{n + 1}I", raw, 4)
        _, kind, length = shard["column_encodings"][0].split(":")
        for a, b in pairwise(offsets):
            sample = np.frombuffer(raw[a:b], dtype=kind)
            assert int(length) == len(sample)
            samples.append(sample.tolist())
    return samples


@BOTH
def test_mds_holds_the_windows_of_each_shard(mix: Mix, tmp_path: Path) -> None:
    """Windows do not overlap, tails are dropped and counted."""
    record = exports.export(mix, "mds", tmp_path / "out", window=64)
    expected = [
        shard[64 * n : 64 * n + 64] for shard in shards_of(mix) for n in range(len(shard) // 64)
    ]

    assert expected == read_mds(tmp_path / "out")
    assert 64 * len(expected) == record["n_tokens"]
    assert mix.n_tokens - 64 * len(expected) == record["n_dropped"]


def test_mds_files_are_split_at_their_limit(
    mix: Mix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file holds as many windows as its limit allows; the windows stay what they are."""
    exports.export(mix, "mds", tmp_path / "one", window=32)
    monkeypatch.setattr(arrays, "MDS_BYTES", 150)
    exports.export(mix, "mds", tmp_path / "many", window=32)

    assert read_mds(tmp_path / "one") == read_mds(tmp_path / "many")
    assert len(list((tmp_path / "many").glob("*.mds"))) > len(mix.shards)


@BOTH
def test_litdata_holds_each_shard_behind_twelve_bytes(mix: Mix, tmp_path: Path) -> None:
    """One chunk, one item, one shard."""
    exports.export(mix, "litdata", tmp_path / "out")
    index = json.loads((tmp_path / "out" / "index.json").read_bytes())
    found = []
    for chunk in index["chunks"]:
        raw = (tmp_path / "out" / chunk["filename"]).read_bytes()
        n, begin, end = struct.unpack_from("<III", raw)
        assert (1, 12, len(raw), chunk["chunk_bytes"]) == (n, begin, end, len(raw))
        found.append(np.frombuffer(raw[begin:end], mix.dtype).tolist())
        assert chunk["dim"] == len(found[-1])

    assert shards_of(mix) == found
    assert [f"no_header_numpy:{5 if mix.dtype.itemsize == 2 else 6}"] == (
        index["config"]["data_format"]
    )


def test_llmc_has_the_delimiter_before_each_document(mix: Mix, tmp_path: Path) -> None:
    """The header counts the tokens; the last EOS moved to the front."""
    exports.export(mix, "llmc", tmp_path / "out")
    for number, shard in enumerate(shards_of(mix)):
        raw = (tmp_path / "out" / f"train_{number:06d}.bin").read_bytes()
        head = np.frombuffer(raw[:1024], "<i4")

        assert [20240520, 1, len(shard)] == head[:3].tolist()
        assert not head[3:].any()
        assert [tiny_mix.EOS, *shard[:-1]] == np.frombuffer(raw[1024:], "<u2").tolist()


@of_width("uint32")
def test_llmc_refuses_wide_ids(mix: Mix, tmp_path: Path) -> None:
    """No reader of that format takes more than 16 bits."""
    with pytest.raises(UsageError, match="read uint16 only"):
        exports.export(mix, "llmc", tmp_path / "out")


@BOTH
@pytest.mark.parametrize("blocks", [1, 10])
def test_parquet_and_arrow_hold_one_document_a_row(
    mix: Mix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int
) -> None:
    """`input_ids` is a list of int32, beside the id and the component of the document."""
    monkeypatch.setattr(documents, "BLOCK_TOKENS", mix.n_tokens // blocks)
    exports.export(mix, "parquet", tmp_path / "parquet")
    exports.export(mix, "arrow", tmp_path / "arrow")
    parquet = pa.concat_tables(
        pq.read_table(path) for path in sorted((tmp_path / "parquet").glob("*.parquet"))
    )
    arrow = pa.concat_tables(
        pa.ipc.open_stream(path).read_all() for path in sorted((tmp_path / "arrow").glob("*.arrow"))
    )
    spans = pl.read_parquet(mix.folder / "spans.parquet")

    assert pa.list_(pa.field("element", pa.int32())) == parquet.schema.field("input_ids").type
    assert (
        documents.ARROW_SCHEMA
        == base64.b64encode(parquet.schema.remove_metadata().serialize()).decode()
    )
    assert pa.int32() == parquet.schema.field("input_ids").type.value_type
    assert pa.int32() == arrow.schema.field("input_ids").type.value_type
    assert documents_of(mix) == parquet["input_ids"].to_pylist() == arrow["input_ids"].to_pylist()
    assert spans["id"].to_list() == parquet["id"].to_pylist() == arrow["id"].to_pylist()
    assert spans["component"].to_list() == parquet["component"].to_pylist()


@BOTH
def test_webdataset_holds_one_npy_a_document(mix: Mix, tmp_path: Path) -> None:
    """The standard library's tarfile and numpy read it."""
    exports.export(mix, "webdataset", tmp_path / "out")
    found = []
    for path in sorted((tmp_path / "out").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                assert (0, 0, 0o644) == (member.mtime, member.uid, member.mode)
                body = tar.extractfile(member)
                assert body is not None
                ids = np.load(io.BytesIO(body.read()))
                assert mix.dtype == ids.dtype
                found.append(ids.tolist())

    assert documents_of(mix) == found


def test_a_tar_head_can_say_sizes_beyond_eight_gigabytes() -> None:
    """Base-256 as GNU and POSIX tars have it."""
    head = tarfile.TarInfo.frombuf(containers.tar_head("a.npy", 2**33 + 1), "utf-8", "strict")

    assert ("a.npy", 2**33 + 1) == (head.name, head.size)


def test_text_is_what_the_ids_decode_to(mix: Mix, tmp_path: Path) -> None:
    """One JSON object a line, without EOS, named as lingua wants its chunks."""
    exports.export(mix, "text", tmp_path / "out")
    paths = sorted((tmp_path / "out").glob("tiny.chunk.*.jsonl"))
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    spans = pl.read_parquet(mix.folder / "spans.parquet")

    assert [bytes(ids[:-1]).decode() for ids in documents_of(mix)] == [x["text"] for x in lines]
    assert spans["id"].to_list() == [x["id"] for x in lines]
    assert len(mix.shards) == len(paths)


def test_the_tokenizer_is_a_folder(mix: Mix, tmp_path: Path) -> None:
    """tokenizer.json as it is, and beside it what AutoTokenizer asks for: a class, EOS."""
    record = exports.export(mix, "tokenizer", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "tokenizer_config.json").read_bytes())

    assert (0, 0) == (record["n_tokens"], record["n_dropped"])
    assert mix.content["tokenizer"]["sha256"] == files.sha256_of(tmp_path / "out/tokenizer.json")
    assert mix.content["tokenizer"]["eos"]["token"] == told["eos_token"]
    assert "PreTrainedTokenizerFast" == told["tokenizer_class"]
    assert "bos_token" not in told


WITH_TOKENS = [to for to in exports.WRITERS if to not in ("arrayrecord", "sides", "tokenizer")]


@pytest.mark.parametrize("to", WITH_TOKENS)
def test_an_export_carries_digests_forward(mix: Mix, tmp_path: Path, to: str) -> None:
    """curate-export.json names the mix it is of and every file with its digest."""
    record = exports.export(mix, to, tmp_path / "out", window=64)
    there = {p.name: files.sha256_of(p) for p in (tmp_path / "out").iterdir()}
    there.pop("curate-export.json")

    assert mix.manifest["content_id"] == record["mix"]["content_id"]
    assert there == {file["name"]: file["sha256"] for file in record["files"]}
    assert [s["sha256"] for s in mix.shards] == [s["sha256"] for s in record["shards"]]
    assert mix.n_tokens == record["n_tokens"] + record["n_dropped"]


def test_the_same_export_again_does_nothing(mix: Mix, tmp_path: Path) -> None:
    """It is left alone; another mix or window in its place is refused, unless forced."""
    first = exports.export(mix, "mds", tmp_path / "out", window=64)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}

    assert first == exports.export(mix, "mds", tmp_path / "out", window=64)
    assert times == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    with pytest.raises(IntegrityError, match="holds another export") as caught:
        exports.export(mix, "mds", tmp_path / "out", window=32)
    assert ["it is mds of tiny@1.0.0", "its window is 64, not 32"] == caught.value.details
    forced = exports.export(mix, "mds", tmp_path / "out", window=32, force=True)
    assert {"window": 32} == forced["options"]


def test_a_folder_of_other_things_is_not_written_over(mix: Mix, tmp_path: Path) -> None:
    """Nothing of the user's is deleted."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")

    with pytest.raises(UsageError, match="holds something else"):
        exports.export(mix, "parquet", tmp_path / "out")
    assert "mine" == (tmp_path / "out" / "thesis.txt").read_text()


@pytest.mark.parametrize("to", ["litdata", "webdataset"])
def test_an_export_that_was_stopped_starts_anew(
    mix: Mix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    """After any change to the disk, the same line ends with the same folder."""
    expected = exports.export(mix, to, tmp_path / "whole")
    count = last = 0

    def stop(operation: str, path: Path) -> None:
        nonlocal count
        count += 1
        if count == last:
            raise KeyboardInterrupt

    for stop_at in range(1, 30):
        count, last = 0, stop_at
        monkeypatch.setattr(files, "on_operation", stop)
        try:
            exports.export(mix, to, tmp_path / "out")
        except KeyboardInterrupt:
            monkeypatch.setattr(files, "on_operation", None)
            assert expected == exports.export(mix, to, tmp_path / "out")
        files.on_operation = None
        names = {p.name for p in (tmp_path / "out").iterdir()}
        assert {f["name"] for f in expected["files"]} | {"curate-export.json"} == names
        files.remove(tmp_path / "out")


def test_a_mix_is_not_written_into(mix: Mix, tmp_path: Path) -> None:
    """Whatever lies in a mix folder is in its SHA256SUMS, or `verify` finds it."""
    (tmp_path / "link").symlink_to(mix.folder)
    for out in (mix.folder / "exports" / "mds", tmp_path / "link" / "mds"):
        with pytest.raises(UsageError, match="whose files are sealed"):
            exports.export(mix, "mds", out)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"to": "mds"}'])
def test_a_record_that_is_none_is_refused(mix: Mix, tmp_path: Path, text: str) -> None:
    """Somebody else's file of that name, or half of ours."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "curate-export.json").write_text(text)

    with pytest.raises(IntegrityError, match=r"curate-export\.json is n"):
        exports.export(mix, "mds", tmp_path / "out")
    with pytest.raises(IntegrityError, match=r"curate-export\.json is n"):
        exports.check(mix, tmp_path / "out")


def test_a_window_is_baked_into_mds_alone(mix: Mix, tmp_path: Path) -> None:
    """Others choose it when they read."""
    arguments = [str(mix.folder), "--to", "litdata", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(command.command, [*arguments, "--window", "64"])

    assert "an export to litdata has no windows" in str(done.exception)


def test_side_arrays_are_an_export_of_their_own(mix: Mix, tmp_path: Path) -> None:
    """Asked for beside another layout they would be left out without a word."""
    with pytest.raises(UsageError, match="an export to mds has no side arrays"):
        exports.export(mix, "mds", tmp_path / "out", side=["score:toxicity"])


def test_a_full_disk_is_named(mix: Mix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which folder has how much left."""

    def full(operation: str, path: Path) -> None:
        if operation == "fsync":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "on_operation", full)
    with pytest.raises(DiskError, match="No space left on device") as caught:
        exports.export(mix, "litdata", tmp_path / "out")
    [detail] = caught.value.details
    assert detail.startswith(f"{tmp_path}: ")


def test_a_damaged_shard_is_not_exported(mix: Mix, tmp_path: Path) -> None:
    """One flipped bit is found while reading; no record is written."""
    path = next(mix.folder.glob("shards/*.npy"))
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)

    with pytest.raises(IntegrityError, match="is damaged"):
        exports.export(mix, "litdata", tmp_path / "out")
    assert not (tmp_path / "out" / "curate-export.json").exists()


def test_the_command_names_what_it_wrote(mix: Mix, tmp_path: Path) -> None:
    """`curate export` prints the folder and the exact number of tokens."""
    arguments = [str(mix.folder), "--to", "parquet", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(command.command, arguments)
    again = CliRunner().invoke(command.command, [*arguments, "--json"])

    assert 0 == done.exit_code, done.output
    assert f"{mix.n_tokens:,} tokens in" in done.output
    assert mix.n_tokens == json.loads(again.stdout)["n_tokens"]


def test_the_command_knows_every_layout() -> None:
    """The list in the command line, which imports nothing, is the list there is."""
    assert list(exports.WRITERS) == list(command.LAYOUTS)
