"""What a recount cannot work with is said in words, and the rest is looked at all the same."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from curate.audit.opened import open_mix
from curate.audit.recount import load_spans
from curate.audit.verify import verify
from curate.errors import IntegrityError, UsageError
from tests.audit.conftest import Mix
from tests.audit.damage import manifest_of, npy
from tests.audit.test_rows import at, rewritten
from tests.tiny_files import seal
from tests.tiny_mix import some_documents, write


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (at(2, "key", None), "has nulls; in key"),
        (at(2, "cut", None), "has nulls; in cut"),
        (at(2, "key", b"k"), "has a key that is not of 16 bytes"),
        (at(2, "digest", b"d" * 17), "has a digest that is not of 16 bytes"),
        (at(2, "content", b""), "has a content that is not of 16 bytes"),
        (at(2, "group", b"g"), "has a group that is not of 16 bytes"),
        (at(2, "shard", 1), "is not in order of shards"),
        (at(15, "shard", 3), "names a shard that the manifest does not have"),
    ],
)
def test_rows_that_cannot_be_counted_are_one_finding(
    make: Mix, change: Callable[[pl.DataFrame], pl.DataFrame], what: str
) -> None:
    """Nulls, keys of another length, shards out of order: said, and not counted with."""
    folder = rewritten(make(), change)
    found = [f.what for f in verify(folder, semantic=True).findings if f.kind == "spans"]
    with pytest.raises(IntegrityError):
        load_spans(open_mix(folder))

    assert [f"spans.parquet {what}"] == found


def test_the_last_shard_of_the_manifest_may_be_named(make: Mix) -> None:
    """Three shards: 2 is the last, null timestamps and URLs are no nulls."""
    assert 2 == load_spans(open_mix(make()))["shard"][-1]


def test_spans_that_are_a_link_are_not_read(make: Mix) -> None:
    """Be it to the same bytes; nor are those that are not there."""
    folder = make()
    elsewhere = folder.parent / "elsewhere.parquet"
    (folder / "spans.parquet").rename(elsewhere)
    with pytest.raises(IntegrityError, match="is missing or not a plain file"):
        open_mix(folder).spans()
    (folder / "spans.parquet").symlink_to(elsewhere)
    with pytest.raises(IntegrityError, match="is missing or not a plain file"):
        open_mix(folder).spans()


def test_a_shard_that_is_gone_does_not_hide_the_others(make: Mix) -> None:
    """Its ids cannot be counted; the damage in the next one is found."""
    folder = make()
    first, second = npy(folder), npy(folder, 1)
    first.unlink()
    second.write_bytes(bytes([second.read_bytes()[0] ^ 1]) + second.read_bytes()[1:])
    found = verify(folder, semantic=True).findings

    assert [f"shards/{first.name}"] == [f.file for f in found if f.kind == "shard"]
    assert f"shards/{second.name}" in {f.file for f in found if f.kind == "span"}


@pytest.mark.parametrize("size", [0, 3])
def test_a_shard_of_no_whole_number_of_ids_is_not_read(make: Mix, size: int) -> None:
    """Empty, or an odd number of bytes."""
    folder = make(how="copy")
    npy(folder).write_bytes(b"a" * size)

    with pytest.raises(IntegrityError, match="not a whole number of ids"):
        open_mix(folder).ids(0)


def test_a_manifest_alone_is_no_mix(make: Mix, tmp_path: Path) -> None:
    """A committed record has no folder to ask; the manifest in its folder has."""
    folder = make()
    record = tmp_path / "1.0.0.json"
    record.write_bytes((folder / "manifest.json").read_bytes())

    assert folder == open_mix(folder / "manifest.json").folder
    with pytest.raises(UsageError, match="is a manifest without its mix"):
        open_mix(record)


def test_a_folder_s_name_is_no_pattern(tmp_path: Path) -> None:
    """Brackets and stars in a path are letters like others, for spans and for what was dropped."""
    folder = write(tmp_path / "odd[1]*" / "1.0.0", documents=some_documents())
    facts = manifest_of(folder)
    n = facts["origin"]["components"]["clean"]["n_unused"]
    rows = {"key": [b"k" * 16] * n, "component": ["clean"] * n, "clause": ["[unused]"] * n}
    schema = {"key": pl.Binary, "component": pl.String, "clause": pl.String}
    pl.DataFrame(rows, schema=schema).write_parquet(folder / "dropped.parquet")
    seal(folder, facts)

    assert () == verify(folder, read_data=True, semantic=True).findings
