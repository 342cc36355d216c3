"""
Turn a part of documents into a part of tags: same rows, same order, one column per score.

    documents/<source>@<fp>/<part>.parquet → tags/<source>@<fp>/<tagger>@<fp>/<part>.parquet

Batches keep memory bounded, a NaN is refused, the receipt is written last and holds each column's
digest.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from curate import files, store
from curate.errors import IntegrityError
from curate.taggers import shelf, units

if TYPE_CHECKING:
    import polars as pl

GROUP_ROWS = 65_536  # rows of a row group of documents (docs/format.md §3.1)
BATCH_BYTES = 32 << 20  # of text at once, which a batch holds as Python strings


class Tagger(Protocol):
    """What a kind of tagger is: it needs some columns and gives as many rows as it gets."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the documents that `tag` reads; absent ones are left out."""
        ...

    @property
    def batch_bytes(self) -> int:
        """About how much text `tag` gets at once."""
        ...

    def tag(self, table: "pl.DataFrame") -> "pl.DataFrame":
        """Tag columns (named in full) of `table`, which has the columns `needs`; same rows."""
        ...


def columns(declaration: Mapping[str, Any]) -> dict[str, str]:
    """Column name → polars type of what the tagger of a declaration gives."""
    name, kind = str(declaration["name"]), declaration["kind"]
    if kind == "wordlist":
        return {name: "UInt32"}
    if kind == "language":
        return {name: "String", f"{name}.confidence": "Float32"}
    if kind == "perspective":
        return {name: "Float32"}
    if kind == "detoxify":
        from curate.taggers import detoxify

        return dict.fromkeys(detoxify.columns(declaration), "Float32")
    ends = ("",) if declaration["granularity"] == "document" else ("", ".max", ".share")
    return {name + end: "Float32" for end in ends}


def tag_part(
    documents: Path,
    declaration: Mapping[str, Any],
    *,
    out: Path,
    part: str,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """
    Tag one documents part; write `<out>/<part>.parquet`, then its receipt, and return its facts.

    `progress` is told how many documents were just tagged. IntegrityError for a model that is not
    the declared one or gives no number; InputError for a model that cannot be loaded.
    """
    import polars as pl

    tagger = opened(declaration)
    expected = columns(declaration)
    tables = []
    for batch in batches(documents, tagger.needs, tagger.batch_bytes):
        tags = tagger.tag(batch)
        checked(tags, expected, batch.height, part)
        tables.append(tags)
        progress(batch.height)
    schema = {name: getattr(pl, kind)() for name, kind in expected.items()}
    table = pl.concat(tables) if tables else pl.DataFrame(schema=schema)
    facts = write_part(table, expected, declaration, out, part)
    store.write_receipt(out, part, facts)
    return facts


def write_part(
    table: "pl.DataFrame",
    expected: Mapping[str, str],
    declaration: Mapping[str, Any],
    out: Path,
    part: str,
) -> dict[str, Any]:
    """Write `<out>/<part>.parquet` and return the facts for its receipt."""
    with files.replacing(out / f"{part}.parquet") as temporary:
        table.write_parquet(
            temporary, compression="zstd", compression_level=1, row_group_size=GROUP_ROWS
        )
    return {
        "n_documents": table.height,
        "columns": {
            name: {
                "dtype": kind,
                "n_null": table[name].null_count(),
                "digest": column_digest(table[name]),
            }
            for name, kind in expected.items()
        },
        "model": {key: declaration[key] for key in ("model", "sha256") if key in declaration},
    }


def batches(documents: Path, needs: tuple[str, ...], batch_bytes: int) -> "Iterator[pl.DataFrame]":
    """Columns `needs` (those there are) and `n_bytes` of a documents part, some MB at once."""
    import polars as pl

    lazy = pl.scan_parquet(documents, glob=False)
    names = lazy.collect_schema().names()
    chosen = [name for name in needs if name in names]
    n_rows = lazy.select(pl.len()).collect().item()
    for start in range(0, n_rows, GROUP_ROWS):
        group = lazy.slice(start, GROUP_ROWS).select(*chosen, "n_bytes").collect()
        block = (group["n_bytes"].cast(pl.Int64).cum_sum() - 1) // batch_bytes
        for _, batch in group.group_by(block, maintain_order=True):
            yield batch


def checked(tags: "pl.DataFrame", expected: Mapping[str, str], n_rows: int, part: str) -> None:
    """Raise IntegrityError unless `tags` are as many rows, of the declared types, without NaN."""
    found = {name: str(kind) for name, kind in tags.schema.items()}
    if found != dict(expected) or tags.height != n_rows:
        raise IntegrityError(f"{part}: the tagger gave {tags.height} rows of {found}")
    for name, kind in expected.items():
        if kind == "Float32" and tags[name].is_nan().any():
            row = tags[name].is_nan().arg_max()
            raise IntegrityError(
                f"{part}: {name} is not a number", details=[f"first in row {row} of a batch"]
            )


def column_digest(column: "pl.Series") -> str:
    """
    sha256 of a column's little-endian values, nulls as zero, then one byte 0 or 1 per row: valid.

    Strings are their UTF-8, each followed by a line break.
    """
    import polars as pl

    if column.dtype == pl.String:
        body = "".join(f"{value or ''}\n" for value in column.to_list()).encode()
    else:
        body = column.fill_null(0).to_numpy().tobytes()
    valid = column.is_not_null().cast(pl.UInt8).to_numpy().tobytes()
    return hashlib.sha256(body + valid).hexdigest()


def opened(declaration: Mapping[str, Any]) -> Tagger:
    """
    The tagger of a declaration, its model checked, tried and loaded once per process.

    A model that did not come with this package is tried in a child first (`probe`).
    """
    from curate.fingerprint import canonical

    return _opened(canonical(dict(declaration)))


@functools.lru_cache(maxsize=4)
def _opened(declaration_json: bytes) -> Tagger:
    from curate.taggers.probe import judged, probe

    declaration = json.loads(declaration_json)
    if "model" in declaration:
        shelf.checked(shelf.place(declaration), declaration["sha256"])
        if not shelf.is_shipped(declaration):  # what was shipped is trusted as this code is
            probe(declaration)
    tagger: Tagger = judged(declaration)
    return tagger


def loaded(declaration: Mapping[str, Any], *, like: Tagger | None = None) -> Tagger:
    """
    The tagger of a declaration, loaded in this process without any check: see `opened`.

    With `like`, a tagger of another granularity that shares that one's model.
    """
    kind = declaration["kind"]
    if kind in ("perspective", "wordlist"):
        from curate.taggers import given

        return given.opened(declaration)
    if kind == "detoxify":
        from curate.taggers.detoxify import Detoxify

        return Detoxify(declaration, like if isinstance(like, Detoxify) else None)
    from curate.taggers.fasttext import FastText

    if isinstance(like, Scores | Language):
        model = like.model
    else:
        model = FastText(shelf.place(declaration), declaration.get("normalise", "lines"))
    return (
        Language(model, declaration["name"]) if kind == "language" else Scores(model, declaration)
    )


class Scores:
    """The probability of one label of a fastText model, of documents or of their pieces."""

    needs: tuple[str, ...] = ("text",)
    batch_bytes = BATCH_BYTES

    def __init__(self, model: Any, declaration: Mapping[str, Any]) -> None:
        self.model, self.declaration = model, declaration

    def tag(self, table: "pl.DataFrame") -> "pl.DataFrame":
        """`<name>`, and `<name>.max` and `.share` of pieces: Float32, never null."""
        import polars as pl

        name, label = self.declaration["name"], self.declaration["label"]
        if self.declaration["granularity"] == "document":
            return pl.DataFrame({name: self.model.scores(table["text"], label)})
        split = units.pieces(table, self.declaration["granularity"])
        scores = self.model.scores(split["text"], label)
        over = units.threshold(self.declaration)
        heads = units.summed(scores, split["row"], table.height, over=over)
        return pl.DataFrame({f"{name}.{head}".rstrip("."): each for head, each in heads.items()})


class Language:
    """The best label of a fastText language model and its probability."""

    needs: tuple[str, ...] = ("text",)
    batch_bytes = BATCH_BYTES

    def __init__(self, model: Any, name: str) -> None:
        self.model, self.name = model, name

    def tag(self, table: "pl.DataFrame") -> "pl.DataFrame":
        """`<name>` String and `<name>.confidence` Float32, never null."""
        import polars as pl

        labels, chances = self.model.best(table["text"])
        return pl.DataFrame(
            {self.name: pl.Series(labels, dtype=pl.String), f"{self.name}.confidence": chances}
        )
