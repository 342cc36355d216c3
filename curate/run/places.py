"""
Turn ids into everything of theirs that a mix holds: documents, pieces, copies of the text.

A post takes with it every document that may hold it: the post itself, and the thread's.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.document import key as key_of
from curate.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from curate.audit.opened import Opened
    from curate.run.job import Job
    from curate.run.removals import Matcher
    from curate.run.substitutes import Banned

_POST = re.compile(r"(4chan:[^/#]+/[0-9]+)/[0-9]+")
COLUMNS = [
    "row", "key", "id", "component", "epoch", "shard", "start", "n_tokens", "n_bytes", "cut",
    "content", "document",
]  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """Keys of documents, and digests of their texts, that are to go."""

    keys: frozenset[bytes]
    contents: frozenset[bytes]

    def banned(self, mixes: "Sequence[Opened]", before: "Matcher") -> "Banned":
        """
        What must not come in their place.

        That is they themselves, their copies, what is held out, and what was taken down `before`.
        """
        import polars as pl

        held = [m.spans().select("group").collect()["group"] for m in mixes if m.is_holdout]
        groups = pl.concat(held) if held else pl.Series("group", [], dtype=pl.Binary)
        keys, contents = _series(self.keys), _series(self.contents)

        def banned(rows: "pl.DataFrame") -> "pl.Series":
            found = (
                rows["key"].is_in(keys.implode())
                | rows["content"].is_in(contents.implode())
                | rows["group"].is_in(groups.implode())
            )
            return found | before.matches(rows["key"], rows["content"]) if before else found

        return banned


def _series(values: Iterable[bytes]) -> "pl.Series":
    import polars as pl

    return pl.Series(sorted(values), dtype=pl.Binary)


def keys_of(identifier: str) -> list[bytes]:
    """The keys that an id stands for: its own and, of a post, its thread's."""
    if identifier.startswith("key:"):
        if not re.fullmatch(r"key:[0-9a-f]{32}", identifier):
            raise UsageError(f"a key is key: and 32 hex digits, not {identifier!r}")
        return [bytes.fromhex(identifier.removeprefix("key:"))]
    post = _POST.fullmatch(identifier)
    return [key_of(identifier), *([key_of(post[1])] if post else [])]


def wanted_of(ids: Sequence[str], mixes: "Sequence[Opened]", job: "Job | None") -> Wanted:
    """The keys of these ids, and the texts that mixes and store know them by."""
    import polars as pl

    keys = frozenset(key for identifier in ids for key in keys_of(identifier))
    wanted = Wanted(keys, frozenset())
    contents = {c for mix in mixes for c in rows_of(mix, wanted)["content"].to_list()}
    if job is not None:
        for source in job.recipe.sources:
            for part in job.parts(source):
                rows = pl.scan_parquet(part.documents).select("key", "content")
                same = rows.filter(pl.col("key").is_in(_series(keys).implode())).collect()
                contents |= set(same["content"].to_list())
    return Wanted(keys, frozenset(contents))


def rows_of(mix: "Opened", wanted: Wanted) -> "pl.DataFrame":
    """
    The spans of a mix that go, in stream order, with the columns `COLUMNS`.

    `document` is the key of the document: another than `key` where the span is of a piece.
    """
    import polars as pl

    from curate.audit.texts import pieces

    names = [name for name in COLUMNS if name not in ("row", "document")]
    spans = mix.spans().select(*names, "url", "first", "n_inserted").collect().with_row_index("row")
    piece = pieces(spans)
    bases = spans.filter(piece)["id"].str.replace(r"#[0-9]+$", "")
    documents = spans["key"].to_list()
    for row, base in zip(piece.arg_true().to_list(), bases.to_list(), strict=True):
        documents[row] = key_of(base)
    spans = spans.with_columns(document=pl.Series(documents, dtype=pl.Binary))
    keys, contents = _series(wanted.keys), _series(wanted.contents)
    found: pl.DataFrame = spans.filter(
        pl.col("key").is_in(keys.implode())
        | pl.col("document").is_in(keys.implode())
        | pl.col("content").is_in(contents.implode())
    ).select(COLUMNS)
    return found


def not_found(ids: Sequence[str], gone: Iterable["pl.DataFrame"]) -> list[str]:
    """The ids of which no mix holds anything."""
    held = {k for rows in gone for name in ("key", "document") for k in rows[name]}
    return [identifier for identifier in ids if held.isdisjoint(keys_of(identifier))]
