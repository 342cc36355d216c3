"""
Turn a finished mix into arrays: its shards, its spans, its windows.

Nothing is copied and nothing is converted; the files are the interface (docs/format.md §5), and
this is a thin way to read them:

    mix = curate.open("mixes/demo-10pct/1.0.0")
    mix.shard(0)                            # np.memmap of uint16 or uint32 ids
    mix.token(1_000_000)                    # (shard, offset) of a token of the stream
    windows = mix.windows(2048)
    windows[3].ids                          # 2,048 ids
    windows.documents(3)                    # whose they are: rows of spans.parquet
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curate import files, manifest
from curate.errors import IntegrityError, UsageError
from curate.mix.windows import Stream, Window, Windows

if TYPE_CHECKING:
    import polars as pl

    from curate.tokenizer import Tokenizer

__all__ = ["Ids", "Mix", "Stream", "Window", "Windows"]

Ids = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Mix:
    """A finished mix; `manifest` was checked against its own digests when it was opened."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, name: str | Path, mixes: Path = Path("mixes")) -> "Mix":
        """
        Open a mix folder, its `manifest.json`, or `mix@version` below `mixes`.

        Raises UsageError if there is none, IntegrityError if the manifest is not what it says.
        The ids are not hashed: that is `curate verify`.
        """
        path = manifest.locate(str(name), mixes)
        if path.is_file() and path.name != manifest.FILE_NAME:
            raise UsageError(
                f"{path} is a manifest without its mix",
                hint="Name the mix folder, or mix@version.",
            )
        folder = path if path.is_dir() else path.parent
        return cls(folder, manifest.load(folder))

    def __repr__(self) -> str:
        return f"Mix({self.title}: {self.n_tokens:,} tokens in {len(self.shards):,} shards)"

    @property
    def title(self) -> str:
        """`name@version`."""
        return f"{self.manifest['name']}@{self.manifest['version']}"

    @property
    def content(self) -> dict[str, Any]:
        """`content` of the manifest: what a trainer sees."""
        found: dict[str, Any] = self.manifest["content"]
        return found

    @property
    def n_tokens(self) -> int:
        """Tokens of all shards, with every EOS."""
        return int(self.content["n_tokens"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the ids: little-endian uint16 or uint32."""
        little: np.dtype[Any] = np.dtype(self.content["tokenizer"]["dtype"]).newbyteorder("<")
        return little

    @property
    def eos_id(self) -> int:
        """The id that ends every document."""
        return int(self.content["tokenizer"]["eos"]["id"])

    @cached_property
    def shards(self) -> list[dict[str, Any]]:
        """The shards in order: `name`, `sha256`, `n_tokens`, `n_spans`."""
        return manifest.listed(self.content["shards"], self.folder)

    @cached_property
    def first_tokens(self) -> npt.NDArray[np.int64]:
        """Position in the stream of each shard's first token, and the end: n_shards + 1."""
        return _first([shard["n_tokens"] for shard in self.shards])

    @cached_property
    def first_spans(self) -> npt.NDArray[np.int64]:
        """Row in `spans()` of each shard's first span, and the end: n_shards + 1."""
        return _first([shard["n_spans"] for shard in self.shards])

    def shard(self, number: int) -> Ids:
        """Ids of a shard, mapped read-only, shape (n_tokens,)."""
        return self._mapped(number, ".npy", self.dtype, self.shards[number]["n_tokens"])

    def ends(self, number: int) -> npt.NDArray[np.uint64]:
        """End of each span of a shard, in tokens from its start (exclusive), shape (n_spans,)."""
        return self._mapped(number, ".ds.index", np.dtype("<u8"), self.shards[number]["n_spans"])

    def spans(self) -> "pl.LazyFrame":
        """Every span in stream order with its document and tags (docs/format.md §5.3)."""
        import polars as pl

        return pl.scan_parquet(self.folder / "spans.parquet", glob=False)

    def token(self, position: int) -> tuple[int, int]:
        """(shard, offset in it) of a token by its position in the stream; UsageError beyond."""
        if not 0 <= position < self.n_tokens:
            raise UsageError(
                f"{self.title} has no token {position:,}",
                details=[f"its tokens are 0 to {self.n_tokens - 1:,}"],
            )
        shard = int(np.searchsorted(self.first_tokens, position, side="right")) - 1
        return shard, position - int(self.first_tokens[shard])

    def windows(self, length: int, *, overlap: int = 0) -> Windows:
        """
        All windows of `length` tokens, each `overlap` tokens before the end of the one before.

        A window lies in one shard; the tail of a shard that does not fill one is left out, as the
        manifest's `windows` counts it.
        """
        return Windows(self, length, overlap)

    def per_token(self, number: int, column: "str | pl.Expr") -> npt.NDArray[Any]:
        """
        A column of a shard's spans, once for each of their tokens: shape (n_tokens,).

        For weights and masks of a loss, by score or by component, with nothing more on disk:
        `mix.per_token(0, "toxicity")`, `mix.per_token(0, pl.col("component") != "toxic")`.
        """
        first, end = self.first_spans[number : number + 2].tolist()
        values = self.spans().slice(first, end - first).select(column, "n_tokens").collect()
        return np.repeat(values.to_series(0).to_numpy(), values["n_tokens"].to_numpy())

    def refuse_within(self, path: Path) -> None:
        """UsageError if `path` lies in the mix folder: every file in there is in SHA256SUMS."""
        if path.resolve().is_relative_to(self.folder.resolve()):
            raise UsageError(
                f"{path} lies within {self.title}, whose files are sealed",
                hint="Name a folder beside it.",
            )

    def tokenizer(self) -> "Tokenizer":
        """The tokenizer of the mix, from its own folder; IntegrityError if it is not the one."""
        from curate import tokenizer

        told = self.content["tokenizer"]
        path = self.folder / "tokenizer.json"
        if not path.is_file():
            raise UsageError(
                f"{self.title} comes without its tokenizer",
                details=[f"its licence forbids copies; the file has sha256 {told['sha256']}"],
                hint="Load that file with curate.tokenizer.load.",
            )
        if files.sha256_of(path) != told["sha256"]:
            raise IntegrityError(f"{path} is not the tokenizer of {self.title}")
        bos = told.get("bos", {}).get("token")
        return tokenizer.load(str(path), eos=told["eos"]["token"], bos=bos)

    def _mapped(
        self, number: int, suffix: str, dtype: np.dtype[Any], n_items: int
    ) -> npt.NDArray[Any]:
        path = self.folder / "shards" / (self.shards[number]["name"] + suffix)
        try:
            n_bytes = path.stat().st_size
        except OSError:
            raise IntegrityError(f"{path} is missing") from None
        if n_bytes != n_items * dtype.itemsize:
            raise IntegrityError(
                f"{path} has {n_bytes:,} bytes, not {n_items * dtype.itemsize:,}",
                hint=f"curate verify {self.folder}",
            )
        return np.memmap(path, dtype=dtype, mode="r", shape=(n_items,))


def _first(counts: list[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
