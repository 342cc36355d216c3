"""Turn a mix into the numbers and paths that configurations are made of."""

import json
import os
import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from curate import files
from curate.errors import IntegrityError, UsageError
from curate.mix import Mix
from curate.shards.exports import read_record


def quoted(value: Any) -> str:
    """
    A value as Python, YAML and JSON alike read it; halves of characters they do not.

    >>> quoted("/data/caf\u00e9 \U0001f642")
    '"/data/caf\u00e9 \U0001f642"'
    """
    return json.dumps(value, ensure_ascii=False)


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
    def is_holdout(self) -> bool:
        """Whether it is to be evaluated on, not trained on."""
        return bool(self.mix.manifest["origin"]["arm"]["name"] == "holdout")

    def holdout(self) -> "View | None":
        """The hold-out that was built with this mix, if it lies beside it."""
        manifest = self.mix.manifest
        name = f"{manifest['origin']['recipe']['name']}-holdout"
        folder = self.mix.folder.resolve().parent.parent / name / manifest["version"]
        if self.is_holdout or not (folder / "manifest.json").is_file():
            return None
        return replace(self, mix=Mix.open(folder))

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

    @property
    def tokenizer_folder(self) -> Path:
        """The export with which transformers' AutoTokenizer opens it; a file is not enough."""
        return self._checked(self._default("tokenizer"), "tokenizer")

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

    def max_steps(self, n_windows: int) -> int:
        """`steps` to train for; UsageError where there is not one."""
        if n_windows >= self.batch:
            return self.steps(n_windows)
        raise UsageError(
            f"{self.mix.title} has no step: {n_windows:,} windows, a step takes {self.batch:,}",
            details=[f"{self.mix.n_tokens:,} tokens, windows of {self.sequence:,}"],
            hint=f"--batch-size {n_windows}" if n_windows else "Give a smaller --sequence-length.",
        )

    def exported(self, to: str, **options: int) -> Path:
        """
        The folder of the export; made already or not.

        Raises IntegrityError if what is there is not this export of this mix with these options.
        """
        return self._checked((self.export or self._default(to)).resolve(), to, **options)

    def how_to_export(self, to: str, options: str = "") -> str:
        """A comment line with the command that makes the export."""
        line = f"# first: curate export {shlex.quote(str(self.mix.folder))} --to {to}{options}"
        if self.export is None or to == "tokenizer":
            return line
        return f"{line} --out {shlex.quote(str(self.export))}"

    def masks(self) -> list[Path]:
        """The label masks of all shards in `export`; UsageError if it has none, as `exported`."""
        if self.export is None:
            return []
        folder = self.exported("sides")
        masks = [folder / f"{shard['name']}.mask" for shard in self.mix.shards]
        if missing := [path for path in masks if not path.is_file()]:
            raise UsageError(
                f"{missing[0]} is missing: there are no label masks without it",
                hint='curate export MIX --to sides --side "mask:TAG<NUMBER"',
            )
        return masks

    def _default(self, to: str) -> Path:
        manifest = self.mix.manifest
        return Path("exports", manifest["name"], manifest["version"], to).resolve()

    def _checked(self, folder: Path, to: str, **options: int) -> Path:
        record = read_record(folder)
        if record is None:
            return folder
        content_id = self.mix.manifest["content_id"]
        of, made = record["mix"], record["options"]
        if (record["to"], of["content_id"]) != (to, content_id) or (options and options != made):
            told = "".join(f", {name} {value:,}" for name, value in made.items() if name in options)
            raise IntegrityError(
                f"{folder} is not the export to {to} that this needs",
                details=[
                    f"it is {record['to']} of {of['name']}@{of['version']}{told}",
                    f"its content is {of['content_id'][:16]}, that of the mix {content_id[:16]}",
                ],
                hint="Name another --export, or make it again with `curate export … --force`.",
            )
        return folder

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
        self.mix.refuse_within(self.links)
        path = self.links.resolve() / name
        if path.is_symlink() and path.resolve() == target.resolve():
            return path
        if path.exists() or path.is_symlink():
            told = [f"it links to {os.readlink(path)}"] if path.is_symlink() else []
            raise UsageError(f"{path} is in the way", details=told, hint="Name another --links.")
        with files.replacing(path) as temporary:
            temporary.unlink(missing_ok=True)
            os.symlink(target, temporary)
        return path
