"""
Turn hand-held documents into parts on disk, and a plan's files back into ids a person can read.

Documents are written as docs/format.md §3 says, text left out of account: a plan never reads it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate import mixing, recipe
from curate.store import Part


def key(identifier: str) -> bytes:
    """First 16 bytes of sha256, as docs/format.md §2 has it."""
    return hashlib.sha256(identifier.encode()).digest()[:16]


@dataclass(frozen=True)
class Doc:
    """One row of the pool with what is known of its document."""

    id: str
    n_tokens: int = 10
    toxicity: float | None = 0.0
    group: str = ""
    n_posts: int = 1
    timestamp: int | None = None
    text: str = ""
    piece: int = 0

    @property
    def row_id(self) -> str:
        """Id of the row: of the piece where split."""
        return f"{self.id}#{self.piece}" if self.piece else self.id

    @property
    def content(self) -> bytes:
        """Digest of the text."""
        return key(self.text or f"text of {self.id}")


@dataclass(frozen=True)
class Span:
    """One row of an arm's file, with its document's id instead of part and row."""

    component: str
    id: str
    epoch: int
    n_tokens: int
    cut: bool
    shard: int


@dataclass
class Planned:
    """A plan as written."""

    facts: dict[str, Any]
    folder: Path
    spans: dict[str, list[Span]]
    held_out: list[Span]

    def arm(self, name: str) -> dict[str, Any]:
        """The object of an arm in plan.json."""
        return next(arm for arm in self.facts["arms"] if arm["name"] == name)

    def component(self, arm: str, name: str) -> dict[str, Any]:
        """The object of a component of an arm."""
        return next(c for c in self.arm(arm)["components"] if c["name"] == name)

    def of(self, arm: str, component: str) -> list[Span]:
        """The spans of a component, in order."""
        return [span for span in self.spans[arm] if span.component == component]


Sources = Mapping[str, Sequence[Sequence[Doc]]]
"""Documents by source and part."""


def write_part(folder: Path, source: str, name: str, rows: Sequence[Doc]) -> Part:
    """One part: rows of one document that follow one another with a piece number are its pieces."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = [row for row in rows if row.piece <= 1]
    place, at = [], -1
    for row in rows:
        at += row.piece <= 1
        place.append(at)
    stem = folder / f"{source}-{name}"
    pl.DataFrame(
        {
            "id": [d.id for d in documents],
            "key": [key(d.id) for d in documents],
            "group": [key(d.group or d.id) for d in documents],
            "text": ["…" for _ in documents],
            "n_bytes": [d.n_tokens * 4 for d in documents],
            "content": [d.content for d in documents],
            "n_posts": [d.n_posts for d in documents],
            "timestamp": [d.timestamp for d in documents],
            "board": [d.id.split(":")[0] for d in documents],
        },
        schema_overrides={
            "key": pl.Binary,
            "group": pl.Binary,
            "content": pl.Binary,
            "n_bytes": pl.UInt32,
            "n_posts": pl.UInt32,
            "timestamp": pl.Int64,
        },
    ).write_parquet(f"{stem}.documents.parquet")
    pl.DataFrame({"toxicity": [d.toxicity for d in documents]}).cast(pl.Float32).write_parquet(
        f"{stem}.toxicity.parquet"
    )
    pl.DataFrame(
        {
            "row": place,
            "piece": [row.piece or None for row in rows],
            "key": [key(row.row_id) for row in rows],
            "n_tokens": [row.n_tokens for row in rows],
            "n_bytes": [row.n_tokens * 4 for row in rows],
        },
        schema={
            "row": pl.UInt32,
            "piece": pl.UInt32,
            "key": pl.Binary,
            "n_tokens": pl.UInt32,
            "n_bytes": pl.UInt32,
        },
    ).write_parquet(f"{stem}.pool.parquet")
    return Part(
        source,
        name,
        Path(f"{stem}.documents.parquet"),
        (Path(f"{stem}.toxicity.parquet"),),
        Path(f"{stem}.pool.parquet"),
        Path(f"{stem}.ids"),
    )


def write_parts(folder: Path, sources: Sources) -> dict[str, list[Part]]:
    """All parts of all sources."""
    return {
        source: [
            write_part(folder, source, f"{number:016x}-00000", rows)
            for number, rows in enumerate(parts)
        ]
        for source, parts in sources.items()
    }


def plan(folder: Path, text: str, sources: Sources, *, bos: bool = False) -> Planned:
    """Write the parts, plan the recipe over them, and read the plan's files."""
    told = recipe.parse(text, Path("test.toml"))
    parts = write_parts(folder / "parts", sources)
    facts = mixing.make_plan(told, parts, out=folder / "plan", bos=bos)
    return read(folder / "plan", facts, sources)


def read(folder: Path, facts: dict[str, Any], sources: Sources) -> Planned:
    """The files of a plan, in terms of ids."""
    rows = [
        list(sources[source][int(name[:16], 16)])
        for source, name in pl.read_parquet(folder / "parts.parquet").rows()
    ]

    def spans(stem: str, components: Sequence[Mapping[str, Any]]) -> list[Span]:
        table = pl.read_parquet(folder / f"{stem}.parquet")
        return [
            Span(
                components[row["component"]]["name"],
                rows[row["part"]][row["row"]].row_id,
                row["epoch"],
                row["n_tokens"],
                row["cut"],
                row["shard"],
            )
            for row in table.iter_rows(named=True)
        ]

    return Planned(
        facts,
        folder,
        {arm["name"]: spans(arm["name"] or "mix", arm["components"]) for arm in facts["arms"]},
        spans("holdout", facts["holdout"]["components"]) if "holdout" in facts else [],
    )


HEAD = """
name = "t"
version = "1.0.0"
seed = 7
[tokenizer]
file = "builtin:demo"
eos = "<|endoftext|>"
[source.web]
reader = "c4"
files = ["web.json.gz"]
license = "ODC-BY-1.0"
[source.pol]
reader = "4chan"
files = ["pol.ndjson.zst"]
license = "CC-BY-4.0"
"""
"""The start of a recipe over two sources."""

SWEEP = (
    HEAD
    + """
[component.clean]
source = "web"
where = "toxicity < 0.5"
tokens = 1_000
[component.toxic]
source = "pol"
of = "clean"
[sweep]
toxic.share = [0, 0.05, "10 %", "1/4"]
"""
)
"""Clean held constant, toxic added: four arms, 00pct 05pct 10pct 25pct."""
