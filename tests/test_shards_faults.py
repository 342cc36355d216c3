"""
Ten deliberate faults that readers would not notice, each found by `curate verify --all`.

Each is tried twice: as damage, which a digest finds, and as a lie, where SHA256SUMS and manifest
were written anew to fit the damaged files, so that only what the files mean can give it away.
"""

import gzip
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from curate.cli import verify as command
from tests import shards_world, tiny_files, tiny_mix

Mix = Path


@pytest.fixture
def mix(tmp_path: Path) -> Mix:
    """A mix that we wrote: two components, several shards."""
    documents = tiny_mix.some_documents()
    world = shards_world.make(tmp_path / "store", documents)
    out = tmp_path / "mix" / "1.0.0"
    content = world.write(shards_world.planned(documents), out, shard_tokens=400)
    shards_world.finish(out, content, documents)
    return out


def stem_of(mix: Mix) -> Path:
    """The first shard, without suffix."""
    return min((mix / "shards").glob("*.npy")).with_suffix("")


def change_ids(mix: Mix, change: Callable[[Any], bytes]) -> None:
    """Put other ids into the first shard, under all its names."""
    path = stem_of(mix).with_suffix(".npy")
    data = change(np.fromfile(path, "<u2"))
    for suffix in (".npy", ".bin", ".ds"):  # one inode: written once, in place
        path.with_suffix(suffix).write_bytes(data)


def change_index(mix: Mix, change: Callable[[bytes], bytes]) -> None:
    """Put other bytes into the first shard's .idx."""
    path = stem_of(mix).with_suffix(".idx")
    path.write_bytes(change(path.read_bytes()))


def byte_order(mix: Mix) -> None:
    change_ids(mix, lambda ids: ids.astype(">u2").tobytes())


def header(mix: Mix) -> None:
    def with_header(ids: Any) -> bytes:
        import io

        file = io.BytesIO()
        np.save(file, ids)
        return file.getvalue()

    change_ids(mix, with_header)


def missing_last_eos(mix: Mix) -> None:
    change_ids(mix, lambda ids: ids[:-1].tobytes())


def eos_inside(mix: Mix) -> None:
    def change(ids: Any) -> bytes:
        ids[3] = tiny_mix.EOS
        return bytes(ids.tobytes())

    change_ids(mix, change)


def wrong_dtype_code(mix: Mix) -> None:
    change_index(mix, lambda data: data[:17] + bytes([4]) + data[18:])


def short_index(mix: Mix) -> None:
    path = stem_of(mix).with_suffix(".ds.index")
    path.write_bytes(path.read_bytes()[:-8])


def off_by_one(mix: Mix) -> None:
    path = stem_of(mix).with_suffix(".csv.gz")
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    moved = []
    for line in lines:
        start, end, rest = line.split(",", 2)
        moved.append(f"{int(start) + 1},{int(end) + 1},{rest}\n")
    path.write_bytes(gzip.compress("".join(moved).encode()))


def swapped_documents(mix: Mix) -> None:
    def swap(ids: Any) -> bytes:
        first, second = np.flatnonzero(ids == tiny_mix.EOS)[:2] + 1
        return bytes(np.concatenate([ids[first:second], ids[:first], ids[second:]]).tobytes())

    change_ids(mix, swap)


def stale_sidecar(mix: Mix) -> None:
    """The .idx of another shard, as an index cache would leave it."""
    ours, other = sorted((mix / "shards").glob("*.idx"))[:2]
    ours.write_bytes(other.read_bytes())


def wrong_offsets(mix: Mix) -> None:
    """Offsets in tokens where Megatron wants bytes."""

    def change(data: bytes) -> bytes:
        (n,) = struct.unpack_from("<Q", data, 18)
        at = 34 + 4 * n
        offsets = np.frombuffer(data[at : at + 8 * n], "<i8") // 2
        return data[:at] + offsets.tobytes() + data[at + 8 * n :]

    change_index(mix, change)


FAULTS = [
    byte_order,
    header,
    missing_last_eos,
    eos_inside,
    wrong_dtype_code,
    short_index,
    off_by_one,
    swapped_documents,
    stale_sidecar,
    wrong_offsets,
]


def verify(mix: Mix) -> int:
    return CliRunner().invoke(command.command, [str(mix), "--all"], obj=None).exit_code


def lie(mix: Mix) -> None:
    """Make every digest fit the files as they are now, as one who hides a fault would."""
    made = json.loads((mix / "manifest.json").read_bytes())
    for shard in made["content"]["shards"]:
        old = shard["name"]
        digest = hashlib.sha256((mix / "shards" / f"{old}.npy").read_bytes()).hexdigest()
        shard["sha256"], shard["name"] = digest, f"{old[:6]}{digest[:8]}"
        for path in (mix / "shards").glob(f"{old}.*"):
            path.rename(path.with_name(path.name.replace(old, shard["name"])))
    tiny_files.seal(mix, made)


def test_a_mix_without_a_fault_is_accepted(mix: Mix) -> None:
    """Before and after its digests were written anew."""
    assert 0 == verify(mix)
    lie(mix)
    assert 0 == verify(mix)


@pytest.mark.parametrize("fault", FAULTS)
def test_damage_is_found(mix: Mix, fault: Callable[[Mix], None]) -> None:
    """Exit code 3."""
    fault(mix)
    assert 3 == verify(mix)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lie_is_found(mix: Mix, fault: Callable[[Mix], None]) -> None:
    """Exit code 3, though every digest fits."""
    fault(mix)
    lie(mix)
    assert 3 == verify(mix)
