"""
Turn the parts of every source into rows, bucketed by key so that equal documents meet.

A row is what the plan needs of one row of a token pool: keys, versions, sizes, and for every
`where` of its source which clause drops it first. The text is never read.

    >>> row_type(n_selections=1, pieces=False, groups=False).names
    ('a', 'b', 'n_posts', 'timestamp', 'content', 'source', 'part', 'row', 'n_tokens', 'n_bytes', \
'twin', 'o0')
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from curate.document import key_words
from curate.errors import IntegrityError, RecipeError
from curate.mixing.scratch import Buckets, Rows, Scratch
from curate.mixing.where import ColumnError, columns, outcome
from curate.recipe.model import Recipe
from curate.recipe.where import Clause
from curate.store import Part

Removed = Callable[[pl.Series, pl.Series], pl.Series]
"""Keys and content digests of documents (Binary, 16 bytes) → which were taken down: Boolean."""

Progress = Callable[[int], None]
"""Called with how many more parts have been read."""

BUCKET_ROWS = 1 << 21
MAX_BUCKETS = 1 << 12
OLDEST = np.iinfo(np.int64).min
_DOCUMENT_COLUMNS = ("key", "n_posts", "timestamp", "content")


@dataclass(frozen=True)
class Selection:
    """One `where` over one source: column `o<number>` of the rows says which clause drops."""

    source: int
    number: int


@dataclass(frozen=True)
class Gathered:
    """All rows of all sources, by bucket of their document's key."""

    sources: tuple[str, ...]
    parts: tuple[Part, ...]
    selections: Mapping[tuple[str, tuple[Clause, ...]], Selection]
    buckets: Buckets
    n_read: tuple[int, ...]
    n_removed: tuple[int, ...]  # of those read, because they were taken down
    pieces: bool
    least_tokens: int  # of a row that is not empty

    def selection(self, source: str, where: tuple[Clause, ...]) -> Selection:
        """The selection of a component."""
        return self.selections[source, where]


def row_type(*, n_selections: int, pieces: bool, groups: bool) -> np.dtype[Any]:
    """
    The record of one row of a pool.

    a, b: key of the document; pa, pb: key of the piece; document: its row among the documents;
    ga, gb: key of the group; content: first 8 bytes of the digest of the text, so that numbers sort
    as bytes; source, part: numbers; row: of the pool; twin: 1 if another source has the same
    document; o<n>: outcome of selection n of the row's source.
    """
    fields = [("a", "<u8"), ("b", "<u8")]
    fields += [("pa", "<u8"), ("pb", "<u8"), ("document", "<u4")] if pieces else []
    fields += [("ga", "<u8"), ("gb", "<u8")] if groups else []
    fields += [("n_posts", "<u4"), ("timestamp", "<i8"), ("content", "<u8"), ("source", "u1")]
    fields += [(name, "<u4") for name in ("part", "row", "n_tokens", "n_bytes")]
    fields += [("twin", "u1"), *((f"o{n}", "u1") for n in range(n_selections))]
    return np.dtype(fields)


def words(rows: Rows, first: str, second: str) -> Any:
    """Two uint64 fields as the (n, 2) words of a key."""
    return np.stack((rows[first], rows[second]), axis=1)


def gather(
    recipe: Recipe,
    parts: Mapping[str, Sequence[Part]],
    scratch: Scratch,
    *,
    bos: bool,
    progress: Progress,
    removed: Removed | None = None,
) -> Gathered:
    """Read every part once; RecipeError if a `where` does not fit, IntegrityError if a file."""
    names = tuple(sorted(recipe.sources))
    if len(names) > 250:
        raise RecipeError(f"{recipe.path}: {len(names)} sources; at most 250")
    ordered = tuple(p for name in names for p in sorted(parts[name], key=lambda part: part.name))
    heights = [_height(part) for part in ordered]
    selections = _selections(recipe, names)
    kind = row_type(
        n_selections=max((s.number + 1 for s in selections.values()), default=0),
        pieces=recipe.tokenizer.max_document_tokens is not None,
        groups=recipe.holdout is not None,
    )
    n_buckets = min(MAX_BUCKETS, 1 + sum(heights) // BUCKET_ROWS)
    buckets = Buckets(scratch, "rows", kind, n_buckets)
    n_read, n_removed = [0] * len(names), [0] * len(names)
    for number, part in enumerate(ordered):
        source = names.index(part.source)
        rows = _rows(recipe, part, number, source, selections, kind)
        n_read[source] += len(rows)
        if removed is not None:
            left = rows[~_taken_down(part, removed)]
            n_removed[source] += len(rows) - len(left)
            rows = left
        buckets.scatter(rows["a"] % np.uint64(n_buckets), rows)
        progress(1)
    return Gathered(
        sources=names,
        parts=ordered,
        selections=selections,
        buckets=buckets,
        n_read=tuple(n_read),
        n_removed=tuple(n_removed),
        pieces="pa" in (kind.names or ()),
        least_tokens=2 + bos,
    )


def _taken_down(part: Part, removed: Removed) -> Any:
    """Which rows of a part's pool are of documents that were taken down."""
    documents = pl.read_parquet(part.documents, columns=["key", "content"])
    rows = pl.read_parquet(part.pool, columns=["row"])["row"].to_numpy()
    return removed(documents["key"], documents["content"]).to_numpy()[rows]


def _selections(
    recipe: Recipe, names: Sequence[str]
) -> dict[tuple[str, tuple[Clause, ...]], Selection]:
    found: dict[tuple[str, tuple[Clause, ...]], Selection] = {}
    counts = dict.fromkeys(names, 0)
    for arm in recipe.arms():
        for component in (*arm.components, *arm.replace.values()):
            identity = (component.source, component.where)
            if identity not in found:
                number = counts[component.source]
                found[identity] = Selection(names.index(component.source), number)
                counts[component.source] += 1
    return found


def _height(part: Part) -> int:
    return int(pl.scan_parquet(part.pool).select(pl.len()).collect().item())


def _rows(
    recipe: Recipe,
    part: Part,
    number: int,
    source: int,
    selections: Mapping[tuple[str, tuple[Clause, ...]], Selection],
    kind: np.dtype[Any],
) -> Rows:
    mine = {where: s for (name, where), s in selections.items() if name == part.source}
    fields = kind.names or ()
    wanted = sorted({name for where in mine for name in columns(where)})
    table = _table(part, wanted, groups="ga" in fields)
    outcomes = []
    for where, selection in mine.items():
        try:
            outcomes.append(outcome(where, table.schema).alias(f"o{selection.number}"))
        except ColumnError as error:
            raise _misfit(recipe, part, where, error) from None
    # An empty `where` is a constant; only `with_columns` gives it a row for every document.
    tagged = table.with_columns(outcomes).select(f"o{s.number}" for s in mine.values())
    pool = pl.read_parquet(part.pool, columns=["row", "key", "n_tokens", "n_bytes"])
    row = pool["row"].to_numpy()
    if len(row) and int(row.max()) >= table.height:
        raise IntegrityError(f"{part.pool} has rows that {part.documents} has not")
    rows: Rows = np.zeros(len(row), kind)
    key = key_words(table["key"])[row]
    rows["a"], rows["b"] = key[:, 0], key[:, 1]
    own = key_words(pool["key"])
    if "pa" in fields:
        rows["pa"], rows["pb"], rows["document"] = own[:, 0], own[:, 1], row
    elif not np.array_equal(own, key):
        raise IntegrityError(f"{part.pool} and {part.documents} differ in their keys")
    if "ga" in fields:
        group = key_words(table["group"])[row]
        rows["ga"], rows["gb"] = group[:, 0], group[:, 1]
    rows["n_posts"] = table["n_posts"].to_numpy()[row]
    rows["timestamp"] = table["timestamp"].fill_null(OLDEST).to_numpy()[row]
    digest = table["content"].bin.slice(0, 8).bin.reinterpret(dtype=pl.UInt64, endianness="big")
    rows["content"] = digest.to_numpy()[row]
    rows["source"], rows["part"], rows["row"] = source, number, np.arange(len(rows))
    for name in ("n_tokens", "n_bytes"):
        rows[name] = pool[name].to_numpy()
    for name in tagged.columns:
        rows[name] = tagged[name].to_numpy()[row]
    return rows


def _table(part: Part, wanted: Sequence[str], *, groups: bool) -> pl.DataFrame:
    """Documents and tags side by side, in the columns that are needed or could be meant."""
    base = [*_DOCUMENT_COLUMNS, *(["group"] if groups else [])]
    schemas = [pl.read_parquet_schema(path) for path in (part.documents, *part.tags)]
    tables = []
    for path, schema in zip((part.documents, *part.tags), schemas, strict=True):
        needed = [n for n in schema if n in wanted or (path == part.documents and n in base)]
        if needed:
            tables.append(pl.read_parquet(path, columns=needed))
    heights = {table.height for table in tables}
    if len(heights) > 1:
        raise IntegrityError(
            f"tags of {part.source} {part.name} have not the rows of its documents"
        )
    names = [name for table in tables for name in table.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RecipeError(
            f"two columns of {part.source} are named {twice[0]}", hint="Rename the tagger."
        )
    table = pl.concat(tables, how="horizontal")
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        # Not read, only named: so that the error can list what there is.
        every = {name: dtype for schema in schemas for name, dtype in schema.items()}
        table = pl.DataFrame(schema=every)
    return table


def _misfit(
    recipe: Recipe, part: Part, where: tuple[Clause, ...], error: ColumnError
) -> RecipeError:
    users = sorted(
        {
            c.name
            for arm in recipe.arms()
            for c in (*arm.components, *arm.replace.values())
            if c.where == where and c.source == part.source
        }
    )
    return RecipeError(
        f"{recipe.path}: component.{users[0]}.where: {error}",
        details=[f"source {part.source}, part {part.name}"],
        hint=error.hint,
    )
