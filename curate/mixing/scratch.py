"""
Turn more rows than memory holds into buckets and tapes that lie on disk once they grow large.

    >>> import tempfile
    >>> scratch = Scratch(Path(tempfile.mkdtemp()) / "work")
    >>> buckets = Buckets(scratch, "odd", np.dtype([("n", "<u4")]), 2)
    >>> rows = np.array([(1,), (2,), (3,)], dtype=buckets.dtype)
    >>> buckets.scatter(rows["n"] % 2, rows)
    >>> [buckets.read(number)["n"].tolist() for number in range(2)]
    [[2], [1, 3]]

Small inputs never touch the disk: rows wait in memory until `MEMORY` bytes are waiting in all.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curate import files

Rows = npt.NDArray[Any]
"""A structured array: one record per row."""

MEMORY = 512 << 20
"""Bytes that may wait in memory, of all buckets and tapes together."""
CHUNK = 1 << 20
"""Rows that are handled at a time where they come in order."""


def picked(rows: Rows, which: npt.NDArray[Any]) -> Rows:
    """
    Rows by position or mask: `rows[which]`.

    As plain bytes: numpy copies records field by field otherwise, five to ten times slower.
    """
    plain: Rows = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize)))
    chosen = plain[which] if which.dtype == bool else np.take(plain, which)
    return chosen.view(rows.dtype)


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of one kind, one after the other; at least one part."""
    if len(parts) == 1:
        return parts[0]
    kind = parts[0].dtype
    void = np.dtype((np.void, kind.itemsize))
    return np.concatenate([np.ascontiguousarray(part).view(void) for part in parts]).view(kind)


class Scratch:
    """A folder that is gone when the work is done, and the memory its users share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting = 0
        self.users: list[_Spill] = []
        files.remove(folder)

    def charge(self, n_bytes: int) -> None:
        """Account for rows kept in memory; when too many wait, all go to disk."""
        self.waiting += n_bytes
        if self.waiting > MEMORY:
            files.make_folder(self.folder)
            for user in self.users:
                user.flush()
            self.waiting = 0

    def close(self) -> None:
        """Delete everything."""
        files.remove(self.folder)


class _Spill:
    """An appended sequence of records: the oldest on disk, the newest in memory."""

    def __init__(self, scratch: Scratch, name: str, dtype: np.dtype[Any]) -> None:
        self.scratch = scratch
        self.path = scratch.folder / f"{len(scratch.users):06d}-{name}"
        self.dtype = dtype
        self.on_disk = 0
        self.memory: list[Rows] = []
        self.n_rows = 0
        scratch.users.append(self)

    def append(self, rows: Rows) -> None:
        if len(rows):
            self.memory.append(rows)
            self.n_rows += len(rows)
            self.scratch.charge(rows.nbytes)

    def flush(self) -> None:
        if self.memory:
            files.announce("write", self.path)
            with open(self.path, "ab" if self.on_disk else "wb") as file:
                for rows in self.memory:
                    rows.tofile(file)
                    self.on_disk += len(rows)
            self.memory = []

    def read(self, start: int, stop: int) -> Rows:
        """Rows start … stop − 1."""
        if len(self.memory) > 1 and not self.on_disk:
            self.memory = [joined(self.memory)]
        parts: list[Rows] = []
        if start < self.on_disk:
            n_rows = min(stop, self.on_disk) - start
            size = self.dtype.itemsize
            parts.append(np.fromfile(self.path, self.dtype, n_rows, offset=start * size))
        first = self.on_disk
        for rows in self.memory:
            if first < stop and start < first + len(rows):
                parts.append(rows[max(0, start - first) : stop - first])
            first += len(rows)
        return joined(parts)

    def replace(self, rows: Rows) -> None:
        self.drop()
        self.append(rows)

    def drop(self) -> None:
        self.scratch.waiting -= sum(rows.nbytes for rows in self.memory)
        self.memory = []
        if self.on_disk:
            files.remove(self.path)
        self.on_disk = self.n_rows = 0


class Buckets:
    """Rows of one kind, by number of the bucket they belong to."""

    def __init__(self, scratch: Scratch, name: str, dtype: np.dtype[Any], n_buckets: int) -> None:
        self.dtype = dtype
        self.spills = [_Spill(scratch, f"{name}-{n:05d}", dtype) for n in range(n_buckets)]

    def __len__(self) -> int:
        return len(self.spills)

    def scatter(self, numbers: npt.NDArray[Any], rows: Rows) -> None:
        """Append every row to the bucket of its number; the order within a bucket is kept."""
        if len(self.spills) == 1:
            self.spills[0].append(rows)
            return
        small = numbers.astype(np.uint16)
        order = np.argsort(small, kind="stable")
        sorted_rows = picked(rows, order)
        ends = np.cumsum(np.bincount(small, minlength=len(self.spills)))
        for spill, start, stop in zip(self.spills, [0, *ends[:-1]], ends, strict=True):
            spill.append(sorted_rows[start:stop])

    def read(self, number: int) -> Rows:
        """All rows of a bucket."""
        spill = self.spills[number]
        if not spill.n_rows:
            return np.empty(0, self.dtype)
        return spill.read(0, spill.n_rows)

    def replace(self, number: int, rows: Rows) -> None:
        """Put other rows in a bucket's place."""
        self.spills[number].replace(rows)

    def drop(self) -> None:
        """Forget all rows."""
        for spill in self.spills:
            spill.drop()


class Tape:
    """Rows in order, with running sums that find a place without reading all."""

    def __init__(
        self, scratch: Scratch, name: str, dtype: np.dtype[Any], summed: tuple[str, ...]
    ) -> None:
        self.spill = _Spill(scratch, name, dtype)
        self.summed = summed
        self.starts = [0]
        self.sums: dict[str, list[int]] = {field: [0] for field in summed}
        self.maxima: dict[str, list[int]] = {field: [] for field in summed}

    def __len__(self) -> int:
        return self.spill.n_rows

    def append(self, rows: Rows) -> None:
        """Add rows at the end."""
        for first in range(0, len(rows), CHUNK):
            piece = rows[first : first + CHUNK]
            self.spill.append(piece)
            self.starts.append(len(self))
            for field in self.summed:
                total = int(piece[field].sum(dtype=np.int64))
                self.sums[field].append(self.sums[field][-1] + total)
                self.maxima[field].append(int(piece[field].max()))

    def read(self, start: int, stop: int) -> Rows:
        """Rows start … stop − 1 (at least one)."""
        return self.spill.read(start, stop)

    def chunks(self, start: int, stop: int) -> Iterator[Rows]:
        """The same rows, at most `CHUNK` at a time."""
        for first in range(start, stop, CHUNK):
            yield self.read(first, min(first + CHUNK, stop))

    def most(self, field: str, start: int, stop: int) -> int:
        """No row of start … stop − 1 has more: the largest of the chunks they lie in."""
        if stop <= start:
            return 0
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        last = int(np.searchsorted(self.starts, stop, side="left"))
        return max(self.maxima[field][first:last])

    def sum_before(self, field: str, row: int) -> int:
        """Sum of a field over rows 0 … row − 1."""
        chunk = int(np.searchsorted(self.starts, row, side="right")) - 1
        start = self.starts[chunk]
        if row == start:
            return self.sums[field][chunk]
        rest = self.read(start, row)[field].sum(dtype=np.int64)
        return self.sums[field][chunk] + int(rest)

    def reach(self, field: str, goal: int) -> int:
        """The least number of rows whose field sums to `goal` or more; all rows if none does."""
        sums = self.sums[field]
        if goal <= 0:
            return 0
        if goal > sums[-1]:
            return len(self)
        chunk = int(np.searchsorted(sums, goal, side="left")) - 1
        start = self.starts[chunk]
        running = np.cumsum(self.read(start, self.starts[chunk + 1])[field], dtype=np.int64)
        return start + int(np.searchsorted(running, goal - sums[chunk], side="left")) + 1
