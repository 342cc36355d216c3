"""Turn a preset's folder into what a reader must find in it."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

MIXES = Path(os.environ["TRAINER_MIXES"])
NAMES = [p.name for p in sorted(MIXES.iterdir()) if (p / "truth.json").exists()]
SEQUENCE, BATCH = 64, 4


@dataclass(frozen=True)
class Truth:
    """The documents of a mix, shard by shard, and where its files are."""

    name: str

    @property
    def folder(self) -> Path:
        """The preset's folder: `mix`, exports, configurations."""
        return MIXES / self.name

    @cached_property
    def shards(self) -> list[list[list[int]]]:
        """Ids of every document of every shard."""
        found: list[list[list[int]]] = json.loads((self.folder / "truth.json").read_text())
        return found

    @cached_property
    def preset(self) -> dict[str, Any]:
        """dtype, n_vocab, eos, bos, layout."""
        found: dict[str, Any] = json.loads((self.folder / "preset.json").read_text())
        return found

    @property
    def documents(self) -> list[list[int]]:
        """Ids of every document in order."""
        return [ids for shard in self.shards for ids in shard]

    @property
    def streams(self) -> list[list[int]]:
        """Ids of every shard."""
        return [[token for ids in shard for token in ids] for shard in self.shards]

    @property
    def masks(self) -> list[list[bool]]:
        """Whether each token of each shard counts for the loss: its document's length decides."""
        return [[len(ids) % 16 < 8 for ids in shard for _ in ids] for shard in self.shards]

    def windows(self, length: int, stride: int | None = None) -> list[list[int]]:
        """Whole windows of every shard, one after the other."""
        return [
            stream[at : at + length]
            for stream in self.streams
            for at in range(0, len(stream) - length + 1, stride or length)
        ]

    def stems(self) -> list[Path]:
        """Shards in order, without suffix."""
        return [p.with_suffix("") for p in sorted((self.folder / "mix" / "shards").glob("*.npy"))]

    def told(self, trainer: str) -> str:
        """What `curate use --trainer` printed."""
        return (self.folder / f"{trainer}.txt").read_text()

    def python(self, trainer: str) -> dict[str, Any]:
        """The names that the printed program defines, having run it."""
        found: dict[str, Any] = {}
        exec(compile(self.told(trainer), trainer, "exec"), found)
        return found
