"""A disk that is full at any moment stops a build with an error, and nothing made is lost."""

import errno
import os
from pathlib import Path

import pytest

from curate import files
from curate.errors import DiskError
from curate.run.build import build
from curate.run.order import Order
from curate.store import Store
from tests.journeys import walk
from tests.journeys.test_killed import assert_nothing_half, assert_whole, tiny

NEED_SPACE = {"write", "mkdir", "link", "rename"}


def build_in(folder: Path, full_from: int | None = None) -> int:
    """Build with a disk that takes nothing from operation `full_from` on; operations seen."""
    seen = 0

    def tick(operation: str, path: Path) -> None:
        nonlocal seen
        seen += operation in NEED_SPACE
        if operation in NEED_SPACE and full_from is not None and seen > full_from:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files.on_operation = tick
    try:
        build(Order(folder / "tiny.toml", Store(folder / "store"), out=folder / "mixes"))
    finally:
        files.on_operation = None
    return seen


def test_a_full_disk_is_an_error_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: int
) -> None:
    """ENOSPC from the k-th write on is a DiskError; with space again the bytes are right."""
    whole = tiny(tmp_path / "whole")
    monkeypatch.chdir(whole)
    n_operations = build_in(whole)
    expected = walk.every_file(whole / "mixes")
    assert n_operations > 60

    for k in range(0, n_operations, max(1, 7 // scale)):
        folder = tiny(tmp_path / str(k))
        monkeypatch.chdir(folder)
        with pytest.raises(DiskError, match="No space left on device") as caught:
            build_in(folder, full_from=k)
        assert all(line.endswith("bytes free") for line in caught.value.details)
        assert_nothing_half(folder, expected)
        build_in(folder)
        assert_whole(folder, expected)
