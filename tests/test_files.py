"""A file is wholly there or not there at all, and names from strangers stay in their folder."""

import errno
import os
import re
from pathlib import Path

import pytest
from polars.exceptions import ComputeError

from curate import files
from curate.errors import DiskError, IntegrityError


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every announced operation, in order, as (operation, file name)."""
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(files, "on_operation", lambda what, path: seen.append((what, path.name)))
    return seen


def test_write_follows_the_durable_order(tmp_path: Path, operations: list[tuple[str, str]]) -> None:
    """Temporary file, fsync, rename, fsync of the folder: in this order."""
    files.write_bytes(tmp_path / "a", b"x")

    assert [
        ("write", ".tmp-a"),
        ("fsync", ".tmp-a"),
        ("rename", "a"),
        ("fsync-folder", tmp_path.name),
    ] == operations


@pytest.mark.parametrize("stop", range(4))
def test_a_stopped_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Stopped before any operation, the file holds the old or the new bytes, nothing between."""
    path = tmp_path / "a"
    files.write_bytes(path, b"old")
    count = 0

    def stopper(what: str, where: Path) -> None:
        nonlocal count
        if count == stop:
            raise KeyboardInterrupt
        count += 1

    monkeypatch.setattr(files, "on_operation", stopper)
    with pytest.raises(KeyboardInterrupt):
        files.write_bytes(path, b"new")
    monkeypatch.undo()

    assert (b"new" if stop == 3 else b"old") == path.read_bytes()
    files.sweep(tmp_path)
    assert ["a"] == os.listdir(tmp_path)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """An exception while writing deletes the temporary file."""
    with pytest.raises(ValueError, match="half"), files.replacing(tmp_path / "a") as temporary:
        temporary.write_bytes(b"half")
        raise ValueError("half")

    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize(("how", "same_inode"), [("hard", True), ("copy", False)])
def test_links_share_bytes(tmp_path: Path, how: str, same_inode: bool) -> None:
    """A link has the bytes of its target; a hard link also its inode."""
    files.write_bytes(tmp_path / "a.npy", b"ids")
    files.link(tmp_path / "a.npy", tmp_path / "a.bin", how)
    files.link(tmp_path / "a.npy", tmp_path / "a.bin", how)  # again: nothing changes

    assert b"ids" == (tmp_path / "a.bin").read_bytes()
    assert same_inode == (tmp_path / "a.npy").samefile(tmp_path / "a.bin")
    assert ["a.bin", "a.npy"] == sorted(os.listdir(tmp_path))


def test_symbolic_links_hold_bare_names(tmp_path: Path) -> None:
    """A symbolic link names its target without a folder, so that the folder can be moved."""
    files.write_bytes(tmp_path / "a.npy", b"ids")
    files.link(tmp_path / "a.npy", tmp_path / "a.bin", "symbolic")

    assert "a.npy" == os.readlink(tmp_path / "a.bin")


def test_links_stay_in_their_folder(tmp_path: Path) -> None:
    """A link to another folder is refused."""
    with pytest.raises(ValueError, match="stays in its folder"):
        files.link(tmp_path / "a", tmp_path / "b" / "a", "hard")


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/../../x", ".", "..", "", "a//b", "a\\b", "a\0b", "C:x", "a b", "./a",
     "a/./b", "shards/..", "ｘ", "a\n"],
)  # fmt: skip
def test_names_that_could_be_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    """A name from a manifest may only mean a file below the folder."""
    with pytest.raises(IntegrityError):
        files.inside(tmp_path, name)


def test_no_symbolic_link_on_the_way(tmp_path: Path) -> None:
    """A folder that is a symbolic link is not followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "shards").symlink_to(tmp_path / "real")
    with pytest.raises(IntegrityError, match="symbolic link"):
        files.inside(tmp_path, "shards/a.npy")


def test_ordinary_names_pass(tmp_path: Path) -> None:
    """Names as `curate` writes them are inside."""
    assert tmp_path / "shards" / "00000-ab12cd34.ds.index" == files.inside(
        tmp_path, "shards/00000-ab12cd34.ds.index"
    )


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (OSError(errno.ENOSPC, "x"), "No space left on device"),
        (OSError(errno.EROFS, "x", "a/b"), "Read-only file system: a/b"),
        (FileNotFoundError("No such file (os error 2): a/b"), "No such file .os error 2.: a/b"),
        (ComputeError("parquet: … No space left on device (os error 28)"), "No space left"),
        (ComputeError("parquet: Invalid thrift: transport error"), "end of a table"),
    ],
)
def test_what_the_system_refused_is_told(tmp_path: Path, raised: Exception, says: str) -> None:
    """Whichever library met it, the error says what was refused, what is free and what to do."""
    with (
        pytest.raises(DiskError, match=says) as caught,
        files.refusals_told(tmp_path / "not" / "yet"),
    ):
        raise raised
    assert 1 == caught.value.exit_code
    (line,) = caught.value.details
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/not/yet: [\d,]+ bytes free", line)


@pytest.mark.parametrize(
    "raised",
    [BrokenPipeError(errno.EPIPE, "x"), IntegrityError("x"), ComputeError("x"), ValueError("x")],
)
def test_everything_else_is_left_as_it_is(raised: Exception) -> None:
    """A reader that went away, an error of ours, a bug: not the disk's."""
    with pytest.raises(type(raised)) as caught, files.refusals_told():
        raise raised
    assert raised is caught.value
