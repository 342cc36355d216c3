"""Threads whose posts lie apart: in rows, in snapshots, in several files."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from curate import readers
from curate.readers import csvrows
from curate.readers.fourchan import group
from curate.readers.options import declare
from tests.readers_world import asagi_row, lines, raw_of, read, thread


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Called, makes runs and partitions so small that a few hundred rows need many of each."""

    def shrink(**of_group: int) -> None:
        monkeypatch.setattr(csvrows, "BLOCK", 4_000)
        monkeypatch.setattr(csvrows, "LONGEST", 2_000)
        for name, n_bytes in {"RUN": 5_000, "PARTITION": 9_000, **of_group}.items():
            monkeypatch.setattr(group, name, n_bytes)

    return shrink


def twice_500_posts() -> bytes:
    """Rows of 500 posts in 37 threads, each post in two snapshots."""
    return b"".join(
        asagi_row(num=str(1000 + k), thread_num=str(1000 + k % 37), comment=f"post {k}")
        for k in [*range(500), *range(500)]
    )


def test_rows_of_a_thread_need_not_lie_together(tmp_path: Path) -> None:
    """Posts are grouped by thread and put in order; of a post that occurs twice the last counts."""
    data = b"".join(
        asagi_row(num=str(no), thread_num=str(of), comment=text)
        for no, of, text in [
            (72, 70, "c"),
            (80, 80, "x"),
            (70, 70, "a"),
            (71, 70, "old"),
            (71, 70, "b"),
        ]
    )
    reading = read(tmp_path, data, "4chan", {"board": "g"})

    assert {"4chan:g/70": "a\n\n\nb\n\n\nc", "4chan:g/80": "x"} == dict(
        zip(reading.ids, reading.texts, strict=True)
    )
    assert 1 == reading.facts["posts"]["superseded"]
    assert 5 == reading.facts["posts"]["read"] + 1


def test_grouping_on_the_disk_is_grouping_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Callable[..., None]
) -> None:
    """Small runs and partitions give the same threads, and leave nothing behind."""
    data = twice_500_posts()
    monkeypatch.setattr(csvrows, "MOST", 70)
    whole = read(tmp_path, data, "4chan")
    small()
    parted = read(tmp_path, data, "4chan")

    assert 37 == whole.documents.height
    assert whole.facts["posts"] == parted.facts["posts"]
    assert 500 == whole.facts["posts"]["superseded"]
    assert whole.documents.sort("thread").equals(parted.documents.sort("thread"))


def test_many_threads_of_one_partition_are_read_by_lots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Callable[..., None]
) -> None:
    """Were all threads dealt to one partition, no more posts of it are held than a lot has."""
    data = twice_500_posts()
    whole = read(tmp_path, data, "4chan")
    held = []
    together = group._together

    def watched(*arguments: Any) -> pl.DataFrame:
        held.append(together(*arguments))
        return held[-1]

    monkeypatch.setattr(group, "_together", watched)
    small(HEAVY=20_000, N_PARTITIONS=1)
    parted = read(tmp_path, data, "4chan")

    assert 500 == sum(posts.height for posts in held)
    # Every post takes 200 bytes and more: at most 45 in a lot, and the 14 of its last thread.
    assert max(posts.height for posts in held) <= 45 + 14
    assert whole.facts["posts"] == parted.facts["posts"]
    assert whole.documents.sort("thread").equals(parted.documents.sort("thread"))


@pytest.mark.parametrize("cap", ["MAX_POSTS", "MAX_THREAD"])
def test_a_thread_too_large_for_memory_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Callable[..., None], cap: str
) -> None:
    """It is one record, kept by its first posts; every post is counted, here or on the disk."""
    rows = [
        asagi_row(num=f"{1000 + k}", thread_num="1001" if k % 3 else f"{5000 + k % 37}")
        for k in range(500)
    ]
    data = b"".join([*rows[:100], *rows])
    monkeypatch.setattr(group, cap, 333 if cap == "MAX_POSTS" else 2 * 333)
    assert {} == read(tmp_path, data, "4chan").facts["rejected"]
    monkeypatch.setattr(group, cap, 300 if cap == "MAX_POSTS" else 2 * 300)
    whole = read(tmp_path, data, "4chan")
    small(HEAVY=20_000)
    parted = read(tmp_path, data, "4chan")

    for reading in (whole, parted):
        posts = reading.facts["posts"]
        (record,) = reading.rejected
        assert {"too-many-posts": 1} == reading.facts["rejected"]
        assert 600 == posts["read"] + posts["superseded"] + posts["rejected"]
        assert (len(b"".join([*rows[:100], rows[0]])), 0) == (record["offset"], record["line"])
        kept = [post["no"] for post in orjson.loads(raw_of(record))["posts"]]
        assert [k for k in range(1001, 1500) if (k - 1000) % 3] == kept
    assert 333 == whole.facts["posts"]["rejected"]
    assert 37 == whole.documents.height
    assert whole.documents.sort("thread").equals(parted.documents.sort("thread"))


def test_join_merges_what_lies_apart(tmp_path: Path) -> None:
    """Two snapshots of a thread in one file are two documents, or one if the recipe says join."""
    early, late = thread({"com": "a"}), thread({"com": "a"}, {"com": "b"})

    assert ["a", "a\n\n\nb"] == read(tmp_path, lines(early, late), "4chan").texts
    assert ["a\n\n\nb"] == read(tmp_path, lines(early, late), "4chan", {"join": True}).texts


def test_join_merges_files(tmp_path: Path) -> None:
    """Posts of a thread in several files meet; what comes out does not depend on their order."""
    out = tmp_path / "out"
    data = [
        lines(thread({"com": "a"}, {"com": "b"}), b"bad"),
        lines(
            {"posts": [{"no": 71, "resto": 70, "com": "b"}, {"no": 72, "resto": 70, "com": "c"}]}
        ),
        asagi_row(num="73", op="0", comment="d"),
    ]
    inputs = []
    for k, content in enumerate(data):
        path = tmp_path / f"{k}"
        path.write_bytes(content)
        inputs.append((str(path), hashlib.sha256(content).hexdigest()))
    declaration = declare("4chan", {"join": True}, where="x")
    facts = readers.read_joined(inputs, declaration, out=out)
    joint = readers.joined_sha256([sha256 for _, sha256 in inputs])
    (row,) = pl.read_parquet(out / f"{joint[:16]}-00000.parquet").to_dicts()

    assert ("4chan:pol/70", "a\n\n\nb\n\n\nc\n\n\nd") == (row["id"], row["text"])
    assert (2, 1, {"not-json": 1}) == (facts["n_records"], facts["n_documents"], facts["rejected"])
    assert {"read": 4, "superseded": 1} == {k: facts["posts"][k] for k in ("read", "superseded")}
    assert inputs[0][1][:16] == row["input"]
    assert sum(map(len, data)) == facts["n_bytes"]
    assert facts == readers.read_joined(inputs[::-1], declaration, out=out)
