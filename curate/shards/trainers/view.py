"""Turn a mix into the numbers and paths that configurations are made of."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curate import files
from curate.errors import UsageError
from curate.mix import Mix


@dataclass(frozen=True)
class Source:
    """What a trainer mixes itself: a component of a by-source mix, or a whole interleaved mix."""

    name: str
    stems: tuple[Path, ...]  # shards without suffix
    sizes: tuple[int, ...]  # tokens of each

    @property
    def n_tokens(self) -> int:
        """Tokens of all shards."""
        return sum(self.sizes)

    def n_windows(self, length: int, *, less: int = 0) -> int:
        """Whole windows of `length` tokens in every shard less `less` tokens, summed up."""
        return sum((size - less) // length for size in self.sizes)


@dataclass(frozen=True)
class View:
    """A mix as one trainer is to see it."""

    mix: Mix
    sequence: int  # tokens of a window
    batch: int  # windows of a step
    export: Path | None = None
    links: Path | None = None

    @cached_property
    def sources(self) -> list[Source]:
        """The components of a by-source mix, in order; the whole mix if it is interleaved."""
        folder = self.mix.folder.resolve() / "shards"
        shards = self.mix.shards
        owners = dict.fromkeys(range(len(shards)), self.mix.manifest["name"])
        if self.mix.content["layout"] == "by-source":
            firsts = self.mix.spans().select("shard", "component").unique().collect()
            owners = dict(firsts.sort("shard").iter_rows())
        grouped: dict[str, list[dict[str, Any]]] = {}
        for number, shard in enumerate(shards):
            grouped.setdefault(owners[number], []).append(shard)
        return [
            Source(
                name,
                tuple(folder / shard["name"] for shard in own),
                tuple(shard["n_tokens"] for shard in own),
            )
            for name, own in grouped.items()
        ]

    @property
    def stems(self) -> list[Path]:
        """All shards in order, without suffix."""
        return [stem for source in self.sources for stem in source.stems]

    @property
    def by_source(self) -> bool:
        """Whether the trainer mixes."""
        return bool(self.mix.content["layout"] == "by-source")

    @property
    def eos_id(self) -> int:
        """The id that ends a document."""
        return self.mix.eos_id

    @property
    def bos_id(self) -> int | None:
        """The id that begins a document, or None."""
        bos: dict[str, int] = self.mix.content["tokenizer"].get("bos", {})
        return bos.get("id")

    @property
    def n_vocab(self) -> int:
        """Largest id of the tokenizer + 1."""
        return int(self.mix.content["tokenizer"]["n_vocab"])

    @property
    def tokenizer(self) -> Path:
        """The mix's own tokenizer.json."""
        return self.mix.folder.resolve() / "tokenizer.json"

    def n_windows(self, length: int, *, less: int = 0) -> int:
        """Whole windows of `length` tokens, each within a shard."""
        return sum(source.n_windows(length, less=less) for source in self.sources)

    def head(self, length: int, *, less: int = 0) -> str:
        """Comment lines that say what this is and how much of it the trainer gets."""
        windows = self.n_windows(length, less=less)
        content, steps = self.mix.content, self.steps(windows)
        lines = [
            f"{self.mix.title}, content {self.mix.manifest['content_id'][:16]}",
            f"{content['n_tokens']:,} tokens, {content['n_documents']:,} documents",
            *(f"  {c['name']}: {c['n_tokens']:,} tokens" for c in content["components"]),
            f"{windows:,} windows of {length:,} tokens: {steps:,} steps of {self.batch:,} windows",
        ]
        return "\n".join(f"# {line}" for line in lines)

    def steps(self, n_windows: int) -> int:
        """Steps before a window comes a second time."""
        return n_windows // self.batch

    def exported(self, to: str) -> Path:
        """The folder of the export; made already or not."""
        manifest = self.mix.manifest
        folder = self.export or Path("exports") / manifest["name"] / manifest["version"] / to
        return folder.resolve()

    def how_to_export(self, to: str, options: str = "") -> str:
        """A comment line with the command that makes the export."""
        return f"# first: curate export {self.mix.folder} --to {to}{options}"

    def link(self, target: Path, name: str) -> Path:
        """
        A symbolic link `name` in the folder for links, to `target`.

        Raises UsageError if no folder was named, or if something else has that name.
        """
        if self.links is None:
            raise UsageError(
                "this trainer wants the shards under other names",
                hint="Name a folder for links to them: --links DIR",
            )
        path = self.links.resolve() / name
        if path.is_symlink() and path.resolve() == target.resolve():
            return path
        if path.exists() and not path.is_symlink():
            raise UsageError(f"{path} is in the way", hint="Name another --links.")
        with files.replacing(path) as temporary:
            temporary.unlink(missing_ok=True)
            os.symlink(target, temporary)
        return path
