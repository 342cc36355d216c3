"""
Turn the shards of a mix into windows of one length, and windows into what a rank has left to read.

A window is cut without regard to documents; where they begin in it is `boundaries`, from which
positions that start anew at each document, or the lengths of variable-length attention, follow:

    >>> import numpy as np
    >>> window = Window(np.array([7, 9, 0, 5, 5, 0, 8]), shard=0, start=14, first_span=3,
    ...                 boundaries=np.array([0, 3, 6, 7]))
    >>> window.n_spans, window.positions().tolist()
    (3, [0, 1, 2, 0, 1, 2, 0])
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curate.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from curate.mix import Mix


@dataclass(frozen=True, eq=False)
class Window:
    """Ids of one window and where its documents are."""

    ids: npt.NDArray[np.unsignedinteger[Any]]  # (length,), a view of the shard
    shard: int
    start: int  # of the window, in tokens of the shard
    first_span: int  # row of spans.parquet that the first token belongs to
    boundaries: npt.NDArray[np.int64]  # 0, then where each next span begins, then length

    @property
    def n_spans(self) -> int:
        """Spans of which at least one token is in the window."""
        return len(self.boundaries) - 1

    def positions(self) -> npt.NDArray[np.int64]:
        """Position of each token since its document began, or since the window did: (length,)."""
        lengths = np.diff(self.boundaries)
        return np.arange(len(self.ids)) - np.repeat(self.boundaries[:-1], lengths)


class Windows:
    """Every window of a mix, by number: `len(windows)`, `windows[n]`."""

    def __init__(self, mix: "Mix", length: int, overlap: int = 0) -> None:
        if length < 1 or not 0 <= overlap < length:
            raise UsageError(
                f"windows of {length:,} tokens with an overlap of {overlap:,} do not advance"
            )
        self.mix = mix
        self.length = length
        self.overlap = overlap
        counts = [max(0, (shard["n_tokens"] - overlap) // self.stride) for shard in mix.shards]
        self._first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    @property
    def stride(self) -> int:
        """Tokens from the start of a window to the start of the next."""
        return self.length - self.overlap

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, number: int) -> Window:
        """Window `number`; IndexError beyond the last, so that iteration ends."""
        shard, start = self.place(number)
        ids, ends = self._open[shard]
        end = start + self.length
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, end, side="left"))
        inner = ends[first:last].astype(np.int64) - start
        return Window(
            ids=ids[start:end],
            shard=shard,
            start=start,
            first_span=int(self.mix.first_spans[shard]) + first,
            boundaries=np.concatenate([[0], inner, [self.length]]),
        )

    def __iter__(self) -> Iterator[Window]:
        return (self[number] for number in range(len(self)))

    def place(self, number: int) -> tuple[int, int]:
        """(shard, first token in it) of a window."""
        if not 0 <= number < len(self):
            raise IndexError(f"no window {number:,} of {len(self):,}")
        shard = int(np.searchsorted(self._first, number, side="right")) - 1
        return shard, (number - int(self._first[shard])) * self.stride

    def documents(self, number: int) -> "pl.DataFrame":
        """
        The documents in a window: rows of spans.parquet with `window_start` and `window_end`.

        Both are tokens of the window, end exclusive.
        """
        import polars as pl

        window = self[number]
        rows = self.mix.spans().slice(window.first_span, window.n_spans).collect()
        return rows.with_columns(
            window_start=pl.Series(window.boundaries[:-1], dtype=pl.Int64),
            window_end=pl.Series(window.boundaries[1:], dtype=pl.Int64),
        )

    def stream(self, *, rank: int = 0, world: int = 1, even: bool = False) -> "Stream":
        """The windows of one rank of `world` in order, resumable; see `Stream`."""
        return Stream(self, rank, world, even)

    def torch(self) -> Any:
        """The same windows as a torch `Dataset` of tensors; MissingExtraError without torch."""
        from curate.mix.tensors import TensorWindows

        return TensorWindows(self)

    @cached_property
    def _open(self) -> "_Shards":
        return _Shards(self.mix)

    def __getstate__(self) -> dict[str, Any]:
        # Memory maps would be pickled by value; a worker opens its own.
        return {name: value for name, value in self.__dict__.items() if name != "_open"}


class _Shards:
    """Maps of (ids, ends) by shard, opened when first asked for."""

    def __init__(self, mix: "Mix") -> None:
        self._mix = mix
        self._maps: dict[int, tuple[npt.NDArray[Any], npt.NDArray[np.uint64]]] = {}

    def __getitem__(self, shard: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint64]]:
        found = self._maps.get(shard)
        if found is None:
            found = self._maps[shard] = (self._mix.shard(shard), self._mix.ends(shard))
        return found


class Stream:
    """
    The windows of one rank, in order: `for window in stream`, and on from where it stopped.

    Rank r of w reads windows r, r + w, r + 2w, …; together the ranks read every window once.
    With `even` the last windows, fewer than `world`, are left out, so that every rank has as many.
    To begin again, make another. The state holds the number of windows that all ranks have read,
    so a run can be resumed with another `world`.
    """

    def __init__(self, windows: Windows, rank: int = 0, world: int = 1, even: bool = False) -> None:
        if not 0 <= rank < world:
            raise UsageError(f"no rank {rank} among {world}")
        self.windows = windows
        self.rank = rank
        self.world = world
        self.even = world if even else 0
        self.n_read = 0  # by all ranks together, if all are where this one is

    @property
    def end(self) -> int:
        """Windows that are read by all ranks together."""
        n = len(self.windows)
        return n - (n - self.n_read) % self.even if self.even else n

    def __len__(self) -> int:
        """Windows that this rank has left."""
        return max(0, -((self.n_read + self.rank - self.end) // self.world))

    def __iter__(self) -> Iterator[Window]:
        end = self.end
        while self.n_read + self.rank < end:
            window = self.windows[self.n_read + self.rank]
            self.n_read += self.world
            yield window

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs, as plain values."""
        return {**self._identity(), "n_read": self.n_read}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; UsageError if it is of another mix or other windows."""
        ours = self._identity()
        wrong = [
            f"{name}: {state.get(name)} there, {value} here"
            for name, value in ours.items()
            if state.get(name) != value
        ]
        if wrong:
            raise UsageError("the state is of another stream", details=wrong)
        self.n_read = int(state["n_read"])

    def share(self, part: int, n_parts: int) -> "Stream":
        """What is left for this rank, dealt out once more: every n-th window of it."""
        mine = Stream(self.windows, self.rank + self.world * part, self.world * n_parts)
        mine.n_read, mine.even = self.n_read, self.even
        return mine

    def torch(self) -> Any:
        """The same stream as a torch `IterableDataset`, shared out to a loader's workers."""
        from curate.mix.tensors import TensorStream

        return TensorStream(self)

    def _identity(self) -> dict[str, Any]:
        return {
            "content_id": self.windows.mix.manifest["content_id"],
            "length": self.windows.length,
            "overlap": self.windows.overlap,
        }
