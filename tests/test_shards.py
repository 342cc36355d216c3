"""A mix on disk is what the plan says, the same whatever wrote it, and breaks no rule."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curate import files, manifest, shards
from curate.errors import IntegrityError
from curate.shards import documents as documents_
from curate.shards import gather, memory, place, runs, scatter, sidecars, write
from tests import recount, shards_world, tiny_files, tiny_manifest, tiny_mix

BUDGETS = {"clean": 900, "toxic": 300}


def snapshot(folder: Path) -> dict[str, str]:
    """Relative name → sha256 of every file."""
    return {
        p.relative_to(folder).as_posix(): files.sha256_of(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_a_mix_equals_one_written_from_the_format_page_alone(tmp_path: Path, dtype: str) -> None:
    """Every file equals that of a second, independent reading of docs/format.md."""
    documents = shards_world.invented(12, 9)
    spans = shards_world.planned(documents, BUDGETS)
    world = shards_world.make(tmp_path / "store", documents, dtype=dtype)
    content = world.write(spans, tmp_path / "mix", shard_tokens=400)
    other = tiny_files.write_spans(
        tmp_path / "other",
        spans,
        name="tiny",
        version="1.0.0",
        seed=7,
        shard_tokens=400,
        dtype=dtype,
        how="hard",
        pools={c: [d for d in documents if d.component == c] for c in ("clean", "toxic")},
    )
    expected = manifest.load(other)["content"]

    assert expected == content
    mine, theirs = snapshot(tmp_path / "mix"), snapshot(other)
    assert sorted(set(theirs) - {"manifest.json", "SHA256SUMS"}) == sorted(mine)
    different = {name for name in mine if mine[name] != theirs[name]}
    assert {
        n for n in different if not n.endswith((".csv.gz", ".ds.metadata", ".parquet"))
    } == set()
    for name in mine:
        if name.endswith(".csv.gz"):
            assert tiny_files.csv_rows(other / name) == tiny_files.csv_rows(tmp_path / "mix" / name)
    expected_rows = pl.read_parquet(other / "spans.parquet")
    assert expected_rows.equals(
        pl.read_parquet(tmp_path / "mix" / "spans.parquet").select(expected_rows.columns)
    )


def test_an_independent_recount_finds_nothing(tmp_path: Path) -> None:
    """`tests/recount.py`, which shares no code with us, agrees with every number of content."""
    documents = shards_world.invented(40, 20)
    world = shards_world.make(tmp_path / "store", documents, n_parts=3)
    content = world.write(shards_world.planned(documents), tmp_path / "mix", shard_tokens=2_000)
    shards_world.finish(tmp_path / "mix", content, documents)

    assert [] == recount.recount(tmp_path / "mix")


def test_standard_tools_check_a_mix(tmp_path: Path) -> None:
    """`sha256sum -c SHA256SUMS` accepts the folder without any of our code."""
    documents = tiny_mix.some_documents()
    content = shards_world.make(tmp_path / "store", documents).write(
        shards_world.planned(documents), tmp_path / "mix"
    )
    shards_world.finish(tmp_path / "mix", content)
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"],
        cwd=tmp_path / "mix",
        capture_output=True,
        text=True,
    )

    assert (0, "") == (done.returncode, done.stdout)


def test_three_names_are_one_inode(tmp_path: Path) -> None:
    """A shard takes its space once, however many trainers read it."""
    documents = tiny_mix.some_documents()
    content = shards_world.make(tmp_path / "store", documents).write(
        shards_world.planned(documents), tmp_path / "mix"
    )
    stem = tmp_path / "mix" / "shards" / content["shards"][0]["name"]
    inodes = {stem.with_suffix(suffix).stat().st_ino for suffix in (".npy", ".bin", ".ds")}

    assert 1 == len(inodes)


@pytest.mark.parametrize("link", ["symbolic", "copy"])
def test_links_can_be_of_other_kinds(tmp_path: Path, link: str) -> None:
    """Symbolic links and copies hold the same bytes; a symbolic link names its own folder."""
    documents = tiny_mix.some_documents()
    spans = shards_world.planned(documents)
    world = shards_world.make(tmp_path / "store", documents)
    hard = world.write(spans, tmp_path / "hard")
    other = world.write(spans, tmp_path / "other", link=link)
    ids = tmp_path / "other" / "shards" / f"{other['shards'][0]['name']}.bin"

    assert snapshot(tmp_path / "hard") == snapshot(tmp_path / "other")
    assert hard == other
    assert (link == "symbolic") == ids.is_symlink()
    if link == "symbolic":
        assert ids.with_suffix(".npy").name == os.readlink(ids)


def test_spilling_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mix larger than memory is the same mix."""
    documents = shards_world.invented(60, 30)
    spans = shards_world.planned(documents)
    world = shards_world.make(tmp_path / "store", documents, n_parts=5)
    within = world.write(spans, tmp_path / "within", shard_tokens=1_500)
    monkeypatch.setattr(write, "POOL_BYTES", 0)
    spilled = world.write(spans, tmp_path / "spilled", shard_tokens=1_500)

    assert within == spilled
    assert snapshot(tmp_path / "within") == snapshot(tmp_path / "spilled")


def test_layout_of_the_store_changes_no_byte(tmp_path: Path) -> None:
    """One part or seven: the plan decides what is in a mix, not where the pool keeps it."""
    documents = shards_world.invented(60, 30)
    spans = shards_world.planned(documents)
    few = shards_world.make(tmp_path / "few", documents, n_parts=1)
    many = shards_world.make(tmp_path / "many", documents, n_parts=7)

    assert few.write(spans, tmp_path / "a") == many.write(spans, tmp_path / "b")
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


def test_threads_change_no_byte(tmp_path: Path) -> None:
    """spans.parquet is the same whether polars has one thread or four."""
    script = (
        "import sys, pathlib; from tests import shards_world as w\n"
        "d = w.invented(400, 200)\n"
        "f = pathlib.Path(sys.argv[1])\n"
        "w.make(f / 's', d).write(w.planned(d), f / 'm', shard_tokens=9_000)\n"
    )
    found = []
    for threads in ("1", "4"):
        folder = tmp_path / threads
        subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            check=True,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "POLARS_MAX_THREADS": threads},
        )
        found.append(snapshot(folder / "m"))

    assert found[0] == found[1]


def test_stopped_at_any_change_to_the_disk_the_next_run_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an interrupted write leaves behind is overwritten or deleted."""
    documents = shards_world.invented(10, 6)
    spans = shards_world.planned(documents)
    world = shards_world.make(tmp_path / "store", documents)
    count = 0
    monkeypatch.setattr(write, "POOL_BYTES", 0)
    monkeypatch.setattr(memory, "available", lambda: 0)
    monkeypatch.setattr(write, "TABLE_BYTES", 0)
    monkeypatch.setattr(documents_, "RANGE_SPANS", 7)

    def stop_at(last: int) -> Any:
        def hook(operation: str, path: Path) -> None:
            nonlocal count
            count += 1
            if count == last:
                raise KeyboardInterrupt

        return hook

    monkeypatch.setattr(files, "on_operation", stop_at(-1))
    expected = world.write(spans, tmp_path / "whole", shard_tokens=900)
    reference, n_operations = snapshot(tmp_path / "whole"), count
    assert n_operations > 60
    for last in range(1, n_operations + 1, 3):
        count = 0
        monkeypatch.setattr(files, "on_operation", stop_at(last))
        with pytest.raises(KeyboardInterrupt):
            world.write(spans, tmp_path / "mix", shard_tokens=700)
        monkeypatch.setattr(files, "on_operation", None)
        again = world.write(spans, tmp_path / "mix", shard_tokens=900)

        assert expected == again
        assert reference == snapshot(tmp_path / "mix")


def test_a_finished_mix_is_not_written_over(tmp_path: Path) -> None:
    """A manifest means done: nothing is touched."""
    documents = tiny_mix.some_documents()
    spans = shards_world.planned(documents)
    world = shards_world.make(tmp_path / "store", documents)
    shards_world.finish(tmp_path / "mix", world.write(spans, tmp_path / "mix"))
    before = snapshot(tmp_path / "mix")

    with pytest.raises(IntegrityError, match="finished mix"):
        world.write(spans, tmp_path / "mix")
    assert before == snapshot(tmp_path / "mix")


def test_arms_share_equal_shards(tmp_path: Path) -> None:
    """A shard that a sibling arm has already is a hard link to it, under its own number."""
    documents = shards_world.invented(12, 9)
    clean = shards_world.planned([d for d in documents if d.component == "clean"])
    toxic = shards_world.planned([d for d in documents if d.component == "toxic"])
    world = shards_world.make(tmp_path / "store", documents)
    longest = sum(len(s.ids) for s in clean)
    assert longest > sum(len(s.ids) for s in toxic)
    first = world.write(clean, tmp_path / "0pct", names=["clean", "toxic"], shard_tokens=longest)
    both = world.write(
        clean + toxic, tmp_path / "all", shard_tokens=longest, siblings=[tmp_path / "0pct"]
    )
    name = first["shards"][0]["name"]
    inode = (tmp_path / "0pct" / "shards" / f"{name}.npy").stat().st_ino

    assert [first["shards"][0], both["shards"][1]] == both["shards"]
    assert inode == (tmp_path / "all" / "shards" / f"{name}.npy").stat().st_ino
    assert inode == (tmp_path / "all" / "shards" / f"{name}.ds").stat().st_ino


def test_an_arm_of_nothing_is_an_ordinary_mix(tmp_path: Path) -> None:
    """No spans give no shards, an empty table and exact zeros."""
    documents = tiny_mix.some_documents()
    world = shards_world.make(tmp_path / "store", documents)
    content = world.write([], tmp_path / "mix", names=["clean", "toxic"])
    shards_world.finish(tmp_path / "mix", content)

    assert [] == content["shards"]
    assert 0 == content["n_tokens"] == content["n_documents"]
    assert hashlib.sha256(b"").hexdigest() == content["merkle_root"]
    assert 0 == pl.read_parquet(tmp_path / "mix" / "spans.parquet").height


def test_pieces_are_named_and_known_by_their_own_key(tmp_path: Path) -> None:
    """Row k of a split document is `id#k`, with the document's metadata."""
    documents = [tiny_mix.web("one two three", 1)]
    world = shards_world.make(tmp_path / "store", documents, n_parts=1)
    pool = pl.read_parquet(world.parts[0].pool)
    ids = np.array([111, 110, 101, 256, 116, 119, 111, 256], dtype="<u2")
    world.parts[0].ids.write_bytes(ids.tobytes())
    name = documents[0].id
    pl.DataFrame(
        {
            "row": [0, 0],
            "piece": [1, 2],
            "key": [tiny_manifest.key(f"{name}#1"), tiny_manifest.key(f"{name}#2")],
            "n_tokens": [4, 4],
            "n_bytes": [3, 3],
            "offset": [0, 4],
            "digest": [hashlib.sha256(half.tobytes()).digest()[:16] for half in (ids[:4], ids[4:])],
        },
        schema=pool.schema,
    ).write_parquet(world.parts[0].pool)
    facts = world.plan([])
    rows = [(0, 0, row, 0, 0, 4, False, 0, 0) for row in (1, 0)]
    pl.DataFrame(rows, schema=shards_world.PLAN, orient="row").write_parquet(
        world.folder / "mix.parquet"
    )
    facts = {"components": [{**world._component("clean", [], 8), "n_tokens": 8, "n_spans": 2}]}
    for field in ("n_documents", "n_bytes", "share"):
        del facts["components"][0][field]
    content = shards.write_mix(
        plan=world.folder,
        arm="mix",
        facts=facts,
        parts=world.parts,
        tokenizer=world.tokenizer,
        licenses={"pages": "CC0-1.0"},
        layout="interleaved",
        seed=7,
        out=tmp_path / "mix",
    )
    spans = pl.read_parquet(tmp_path / "mix" / "spans.parquet")

    assert [f"{name}#2", f"{name}#1"] == spans["id"].to_list()
    assert ["CC0-1.0", "CC0-1.0"] == spans["license"].to_list()
    assert 2 == content["n_documents"]


def test_counts_in_words_round_down() -> None:
    """A count is never said to be more than it is."""
    assert ["999", "1.0K", "999.9K", "1.2M", "268.4M", "20.0B"] == [
        sidecars.in_words(n) for n in (999, 1_000, 999_999, 1_249_000, 268_435_456, 20_099_137_536)
    ]


def test_progress_adds_up_to_the_mix(tmp_path: Path) -> None:
    """Every token is announced once."""
    told: list[int] = []
    documents = shards_world.invented(20, 10)
    world = shards_world.make(tmp_path / "store", documents)
    content = world.write(
        shards_world.planned(documents), tmp_path / "mix", shard_tokens=900, progress=told.append
    )

    assert content["n_tokens"] == sum(told)
    assert len(content["shards"]) == len(told) > 2


@pytest.mark.parametrize("at_hand", [0, 10**9])
def test_small_lots_of_everything_change_no_byte(
    at_hand: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of plan rows, blocks of tokens, ranges of keys: none shows in the result."""
    documents = shards_world.invented(60, 30)
    spans = shards_world.planned(documents)
    world = shards_world.make(tmp_path / "store", documents, n_parts=4)
    whole = world.write(spans, tmp_path / "whole", shard_tokens=1_500)
    monkeypatch.setattr(scatter, "PLAN_ROWS", 20)
    monkeypatch.setattr(scatter, "GROUP_ROWS", 30)
    monkeypatch.setattr(runs, "SPILL_TOKENS", 100)
    monkeypatch.setattr(place, "BLOCK_TOKENS", 700)
    monkeypatch.setattr(place, "BLOCK_SPANS", 5)
    monkeypatch.setattr(place, "CHECK_TOKENS", 64)
    monkeypatch.setattr(gather, "BLOCK_TOKENS", 50)
    monkeypatch.setattr(documents_, "RANGE_SPANS", 7)
    monkeypatch.setattr(write, "POOL_BYTES", 0)
    monkeypatch.setattr(memory, "available", lambda: at_hand)
    monkeypatch.setattr(write, "LONG_SPAN", 1)
    monkeypatch.setattr(write, "TABLE_BYTES", 4_000)
    lots = world.write(spans, tmp_path / "lots", shard_tokens=1_500)

    assert whole == lots
    assert snapshot(tmp_path / "whole") == snapshot(tmp_path / "lots")


def test_a_pool_that_fits_is_mapped_or_read_and_any_other_is_spilled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of the memory at hand is for the pool; short or very many spans are not read singly."""
    monkeypatch.setattr(memory, "available", lambda: 2 * 10**9)
    long = {"n_spans": 10**6, "n_tokens": 5 * 10**8}
    assert [
        write.way_of(512 * 2**20, **long),
        write.way_of(10**9, **long),
        write.way_of(10**9 + 1, **long),
        write.way_of(10**9, n_spans=10**6, n_tokens=10**8),
        write.way_of(10**9, n_spans=10**8, n_tokens=10**11),
    ] == ["map", "read", "spill", "spill", "spill"]


def test_the_least_limit_of_memory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free, or the limit of a control group, or of one around it; unknown is none."""
    monkeypatch.setattr(memory, "PROC", tmp_path)
    monkeypatch.setattr(memory, "LIMITS", {"": (tmp_path / "groups", "memory.max")})
    assert 0 == memory.available()

    (tmp_path / "self").mkdir()
    (tmp_path / "groups" / "job" / "step").mkdir(parents=True)
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:   10 kB\n")
    (tmp_path / "self" / "cgroup").write_text("3:cpu:/other\n0::/job/step\n")
    assert 10_240 == memory.available()

    (tmp_path / "groups" / "job" / "step" / "memory.max").write_text("max\n")
    (tmp_path / "groups" / "job" / "memory.max").write_text("5000\n")
    assert 5_000 == memory.available()


def test_a_pool_that_is_cut_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """A read that gives less than the span is an error, not a shard with what was there before."""
    path = tmp_path / "pool.ids"
    np.arange(4, dtype="<u2").tofile(path)
    out = np.zeros(3, dtype="<u2")

    gather.fetch(path, np.array([1]), out, np.array([0]), np.array([3]))
    assert [1, 2, 3] == out.tolist()
    with pytest.raises(IntegrityError, match="was cut"):
        gather.fetch(path, np.array([2]), out, np.array([0]), np.array([3]))
