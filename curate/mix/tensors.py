"""
Turn windows into what a torch `DataLoader` collates: tensors of one length, by name.

    loader = DataLoader(mix.windows(2048).torch(), batch_size=8, shuffle=True)
    loader = DataLoader(mix.windows(2048).stream(rank=0, world=8).torch(), batch_size=8)
    next(iter(loader))["input_ids"]         # (8, 2048) int64

`position_ids` start anew at each document; `window` is the window's number. There are no labels:
models shift for themselves, and data that is shifted before is shifted twice.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.errors import MissingExtraError
from curate.mix.windows import Stream, Window, Windows

if TYPE_CHECKING:

    class Dataset:
        """torch's, of which no stubs are installed."""

    class IterableDataset(Dataset):
        """torch's as well."""

else:
    try:
        from torch.utils.data import Dataset, IterableDataset
    except ImportError:  # the module can be read without torch, but nothing in it made
        Dataset = IterableDataset = object

Item = dict[str, Any]
"""Tensors by name."""


def require_torch() -> None:
    """MissingExtraError where torch is not installed."""
    if Dataset is object:
        raise MissingExtraError("torch is not installed", hint="pip install torch")


def _tensors(window: Window, number: int) -> Item:
    import torch

    return {
        "input_ids": torch.from_numpy(window.ids.astype(np.int64)),
        "position_ids": torch.from_numpy(window.positions()),
        "window": torch.tensor(number),
    }


class TensorWindows(Dataset):
    """`Windows` as a map-style dataset."""

    def __init__(self, windows: Windows) -> None:
        require_torch()
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> Item:
        return _tensors(self.windows[number], number)


class TensorStream(IterableDataset):
    """`Stream` as an iterable dataset; worker k of n takes every n-th window of its rank."""

    def __init__(self, stream: Stream) -> None:
        require_torch()
        self.stream = stream
        self._mine: Stream | None = None

    def __iter__(self) -> Iterator[Item]:
        stream = self._share()
        for window in stream:
            number = stream.n_read - stream.world + stream.rank
            yield _tensors(window, number)

    def state_dict(self) -> dict[str, Any]:
        """See `Stream.state_dict`; of this worker's share."""
        return self._share().state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Stream.load_state_dict`."""
        self._share().load_state_dict(state)

    def _share(self) -> Stream:
        from torch.utils.data import get_worker_info

        worker = get_worker_info()
        if worker is None:
            return self.stream
        if self._mine is None:
            self._mine = self.stream.share(worker.id, worker.num_workers)
        return self._mine
