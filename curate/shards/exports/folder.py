"""Turn a mix into verified arrays, and buffers into files whose digests are known."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate import files
from curate.errors import IntegrityError
from curate.mix import Mix
from curate.shards.gather import Counts, Ids, as_bytes

if TYPE_CHECKING:
    import polars as pl

HASH_TOKENS = 1 << 24


@dataclass(frozen=True)
class OpenedShard:
    """A shard whose ids were hashed and found to be what the manifest says."""

    number: int
    name: str
    ids: Ids  # (n_tokens,)
    ends: Counts  # (n_spans,), exclusive


class Source:
    """A mix to be exported; counts the tokens that a writer delivered, and those it dropped."""

    def __init__(
        self,
        mix: Mix,
        progress: Callable[[int], None],
        *,
        window: int,
        sides: Sequence[str] = (),
    ) -> None:
        self.mix = mix
        self.window = window
        self.sides = sides
        self.n_exported = 0
        self.n_dropped = 0  # of tails
        self._progress = progress

    def shards(self) -> Iterator[OpenedShard]:
        """Every shard in order. Raises IntegrityError if one is not what the manifest says."""
        for number, told in enumerate(self.mix.shards):
            ids = self.mix.shard(number)
            digest = sha256()
            for at in range(0, len(ids), HASH_TOKENS):
                digest.update(as_bytes(ids[at : at + HASH_TOKENS]))
            if digest.hexdigest() != told["sha256"]:
                raise IntegrityError(
                    f"shard {told['name']} of {self.mix.title} is damaged",
                    details=[f"sha256 {digest.hexdigest()}, manifest {told['sha256']}"],
                    hint=f"curate verify {self.mix.folder} --all",
                )
            ends = self.mix.ends(number).astype(np.int64)
            if len(ends) == 0 or ends[-1] != len(ids) or (np.diff(ends) <= 0).any():
                raise IntegrityError(
                    f"{told['name']}.ds.index of {self.mix.title} is damaged",
                    hint=f"curate verify {self.mix.folder} --all",
                )
            yield OpenedShard(number, told["name"], ids, ends)

    def spans(self, shard: int) -> "pl.DataFrame":
        """`id` and `component` of the spans of a shard, in order."""
        first, end = self.mix.first_spans[shard : shard + 2].tolist()
        return self.mix.spans().slice(first, end - first).select("id", "component").collect()

    def delivered(self, n_tokens: int) -> None:
        """Count tokens that are in the export now."""
        self.n_exported += n_tokens
        self._progress(n_tokens)


class Folder:
    """The folder of an export: knows the size and digest of every file put into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, dict[str, Any]] = {}

    def put(self, name: str, chunks: Iterable[bytes | memoryview]) -> str:
        """Write a file durably from its chunks; returns its sha256."""
        digest, n_bytes = sha256(), 0
        with files.replacing(self.path / name) as temporary, open(temporary, "wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                n_bytes += file.write(chunk)
        return self._note(name, digest.hexdigest(), n_bytes)

    def put_with(self, name: str, write: Callable[[Path], None]) -> str:
        """Write a file durably with a library that wants a path; returns its sha256."""
        with files.replacing(self.path / name) as temporary:
            write(temporary)
        path = self.path / name
        return self._note(name, files.sha256_of(path), path.stat().st_size)

    def files(self) -> list[dict[str, Any]]:
        """`name`, `n_bytes` and `sha256` of every file, sorted by name."""
        return [self._files[name] for name in sorted(self._files)]

    def _note(self, name: str, digest: str, n_bytes: int) -> str:
        self._files[name] = {"name": name, "n_bytes": n_bytes, "sha256": digest}
        return digest


class Comparing(Folder):
    """A folder that is compared with what would be written to it; `problems` is what differs."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.problems: list[str] = []

    def put(self, name: str, chunks: Iterable[bytes | memoryview]) -> str:
        """Compare a file with the chunks that it should be made of."""
        digest, n_bytes = sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            n_bytes += len(chunk)
        return self._compare(name, digest.hexdigest(), n_bytes)

    def put_with(self, name: str, write: Callable[[Path], None]) -> str:
        """Compare a file with what a library writes now."""
        temporary = self.path / f"{files.TEMPORARY_PREFIX}{name}"
        try:
            write(temporary)
            return self._compare(name, files.sha256_of(temporary), temporary.stat().st_size)
        finally:
            files.remove(temporary)

    def _compare(self, name: str, digest: str, n_bytes: int) -> str:
        path = self.path / name
        if not path.is_file():
            self.problems.append(f"{name}: is missing")
        elif files.sha256_of(path) != digest:
            self.problems.append(f"{name}: is not what the mix gives")
        return self._note(name, digest, n_bytes)
