"""
Turn a mix folder into something to ask: its manifest, its spans, its ids, nothing else trusted.

Names come from the manifest's schema, so a shard's name cannot lead out of the folder; files are
opened read-only and symbolic links are followed only where docs/format.md §5 allows them.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import manifest as manifests
from curate.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

SPANS = "spans.parquet"

COLUMNS: dict[str, str] = {
    "key": "Binary", "id": "String", "component": "String", "source": "String",
    "epoch": "UInt32", "shard": "UInt32", "start": "UInt64", "n_tokens": "UInt32",
    "first": "UInt32", "n_inserted": "UInt32", "cut": "Boolean", "digest": "Binary",
    "n_bytes": "UInt32", "content": "Binary", "group": "Binary", "input": "String",
    "offset": "UInt64", "n_posts": "UInt32", "timestamp": "Int64", "url": "String",
    "registered_domain": "String", "board": "String", "thread": "Int64", "license": "String",
    "language": "String",
}  # fmt: skip
"""The columns of spans.parquet in order, with their polars types (docs/format.md §5.3)."""


@dataclass(frozen=True)
class Opened:
    """A finished mix, open for reading."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def content(self) -> dict[str, Any]:
        """`content` of the manifest."""
        found: dict[str, Any] = self.manifest["content"]
        return found

    @property
    def origin(self) -> dict[str, Any]:
        """`origin` of the manifest."""
        found: dict[str, Any] = self.manifest["origin"]
        return found

    @property
    def title(self) -> str:
        """`name@version`."""
        return f"{self.manifest['name']}@{self.manifest['version']}"

    @property
    def is_holdout(self) -> bool:
        """Whether this is a recipe's hold-out: whole groups, so that budgets are exceeded."""
        return bool(self.origin["arm"]["name"] == "holdout")

    @cached_property
    def shards(self) -> list[dict[str, Any]]:
        """The shards in order: name, sha256, n_tokens, n_spans."""
        return manifests.listed(self.content["shards"], self.folder)

    @property
    def width(self) -> int:
        """Bytes of an id: 2 or 4."""
        return 2 if self.content["tokenizer"]["dtype"] == "uint16" else 4

    def spans(self) -> "pl.LazyFrame":
        """All spans in stream order, as in docs/format.md §5.3; IntegrityError if unreadable."""
        import polars as pl

        path = self.folder / SPANS
        if not path.is_file() or path.is_symlink():
            raise IntegrityError(f"{path} is missing or not a plain file")
        try:
            frame = pl.scan_parquet(path, glob=False)
            schema = frame.collect_schema()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise IntegrityError(f"{path} is damaged", details=[str(error)[:200]]) from None
        wrong = [
            f"column {name}: {schema.get(name, 'missing')}, expected {kind}"
            for name, kind in COLUMNS.items()
            if str(schema.get(name)) != kind
        ]
        if wrong:
            raise IntegrityError(f"{path} does not have the columns of a mix", details=wrong)
        return frame

    def tags(self) -> list[str]:
        """Names of the tag and extra metadata columns of the spans."""
        return [name for name in self.spans().collect_schema() if name not in COLUMNS]

    def shard_path(self, number: int) -> Path:
        """The file of shard `number`'s ids."""
        return self.folder / "shards" / f"{self.shards[number]['name']}.npy"

    def ids(self, number: int) -> "npt.NDArray[np.unsignedinteger[Any]]":
        """Ids of shard `number`, mapped read-only: uint16 or uint32 of shape (n_tokens,)."""
        import numpy as np

        path = self.shard_path(number)
        size = path.stat().st_size if path.is_file() and not path.is_symlink() else 0
        if size == 0 or size % self.width:
            raise IntegrityError(f"{path} is missing, empty or not a whole number of ids")
        return np.memmap(path, dtype=f"<u{self.width}", mode="r")


def collected(frame: "pl.LazyFrame", name: str = SPANS) -> "pl.DataFrame":
    """The rows of a frame over a table of the mix; IntegrityError if the file is damaged."""
    import polars as pl

    try:
        return frame.collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise IntegrityError(
            f"{name} cannot be read",
            details=[type(error).__name__],
            hint="Run curate verify --all to see what is damaged.",
        ) from None


def open_mix(name: str | Path, mixes: Path = Path("mixes")) -> Opened:
    """
    Open the mix that `name` means: a folder, its manifest, or `mix@version` below `mixes`.

    Raises UsageError if there is none, IntegrityError if its manifest is not what it says.
    """
    path = manifests.locate(str(name), mixes)
    if path.is_file() and path.name != manifests.FILE_NAME:
        raise UsageError(
            f"{path} is a manifest without its mix",
            hint="Name the mix folder, or mix@version.",
        )
    folder = path if path.is_dir() else path.parent
    return Opened(folder, manifests.load(folder))
