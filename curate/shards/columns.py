"""
Turn the parts of a plan into the columns that every span of a mix carries.

`spans.parquet` has the fixed columns of docs/format.md §5.3, then every tag and every column a
reader added, sorted by name. A tag that only one source has is null for the spans of others.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from curate.document import SCHEMA_NAMES
from curate.errors import IntegrityError
from curate.store import Part

if TYPE_CHECKING:
    import polars as pl

Columns = dict[str, "pl.DataType"]
"""Column name → polars type, in order."""

FIXED: dict[str, str] = {
    "key": "Binary",
    "id": "String",
    "component": "String",
    "source": "String",
    "epoch": "UInt32",
    "shard": "UInt32",
    "start": "UInt64",
    "n_tokens": "UInt32",
    "first": "UInt32",
    "n_inserted": "UInt32",
    "cut": "Boolean",
    "digest": "Binary",
    "n_bytes": "UInt32",
    "content": "Binary",
    "group": "Binary",
    "input": "String",
    "offset": "UInt64",
    "n_posts": "UInt32",
    "timestamp": "Int64",
    "url": "String",
    "registered_domain": "String",
    "board": "String",
    "thread": "Int64",
    "license": "String",
    "language": "String",
}
"""The columns every spans.parquet starts with (docs/format.md §5.3)."""

FROM_PLAN = ("component", "epoch", "shard", "start", "n_tokens", "first", "n_inserted", "cut")
"""Those that the plan decides; all others are known from the document alone."""

FROM_DOCUMENTS = tuple(
    name for name in SCHEMA_NAMES if name in FIXED and name not in ("key", "n_bytes")
)
"""Those taken from the documents part; key and n_bytes are the pool row's (a piece has its own)."""


def fixed() -> Columns:
    """`FIXED` with polars types."""
    import polars as pl

    return {name: getattr(pl, kind)() for name, kind in FIXED.items()}


def extra_columns(parts: Sequence[Part], sources: Iterable[str]) -> Columns:
    """
    Tags and readers' own columns of the parts of `sources`, sorted by name.

    Raises IntegrityError where two parts give one name different types, or a name that
    spans.parquet itself uses.
    """
    import polars as pl

    wanted = set(sources)
    found: Columns = {}
    for part in parts:
        if part.source not in wanted:
            continue
        own = pl.read_parquet_schema(part.documents)
        schemas = [{n: t for n, t in own.items() if n not in SCHEMA_NAMES}]
        schemas += [dict(pl.read_parquet_schema(path)) for path in part.tags]
        for schema in schemas:
            for name, kind in schema.items():
                if name in FIXED or name == "text":
                    raise IntegrityError(
                        f"part {part.name} of {part.source} has a tag named {name!r}",
                        details=["that name is a column of spans.parquet itself"],
                        hint="Name the tagger otherwise.",
                    )
                if found.setdefault(name, kind) != kind:
                    raise IntegrityError(
                        f"tag {name!r} is {kind} in part {part.name} of {part.source}",
                        details=[f"and {found[name]} in another part of this mix"],
                        hint="Give the taggers of one name the same type.",
                    )
    return dict(sorted(found.items()))
