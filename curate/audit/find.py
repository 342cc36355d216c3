"""
Turn the name of a document into every place of it in a mix, or into where it was left out.

    id       `4chan:pol/1`, `https://…#…`, `sha256:…`, or `key:` and 32 hex digits
    url      every document of that URL
    thread   `pol/1`: every document of that thread
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.audit.opened import Opened, collected
from curate.audit.rows import first_tokens, plain, span_facts
from curate.document import key as key_of
from curate.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

MAX_SPANS = 10_000
"""Spans that are listed; all are counted."""

MAX_PIECES = 1_000
"""Pieces of a split document that are looked for where nothing tells how many there are."""


def find(
    mix: Opened,
    *,
    id_: str | None = None,
    url: str | None = None,
    thread: str | None = None,
    store: Path | None = None,
) -> dict[str, Any]:
    """
    All spans of the documents that exactly one of `id_`, `url` and `thread` names.

    Pieces of a split document count as the document. `duplicates` are other documents with the
    same text. If there is no span, `left_out` says at which stage and why, as far as
    dropped.parquet, the hold-out beside the mix, or the store know.
    """
    import polars as pl

    given = {"id": id_, "url": url, "thread": thread}
    named = {kind: value for kind, value in given.items() if value is not None}
    if len(named) != 1:
        raise UsageError("say one of --id, --url and --thread")
    [(kind, name)] = named.items()
    condition = _condition(kind, name)
    rows = collected(mix.spans().with_row_index("row").filter(condition))
    firsts = first_tokens(mix)
    result: dict[str, Any] = {
        "mix": mix.title,
        "content_id": mix.manifest["content_id"],
        kind: name,
        "n_spans": rows.height,
        "n_documents": rows["key"].n_unique(),
        "n_tokens": int(rows["n_tokens"].cast(pl.UInt64).sum()),
        "epochs": sorted(rows["epoch"].unique().to_list()),
        "spans": [span_facts(mix, r, firsts) for r in rows.head(MAX_SPANS).iter_rows(named=True)],
        "duplicates": _duplicates(mix, rows, condition),
    }
    if not rows.height:
        from curate.audit.left_out import left_out

        result["left_out"] = left_out(mix, keys_of(kind, name), group_of(kind, name), store)
    return result


def _condition(kind: str, name: str) -> "pl.Expr":
    import polars as pl

    if kind == "url":
        return pl.col("url") == name
    if kind == "thread":
        board, number = thread_of(name)
        return (pl.col("board") == board) & (pl.col("thread") == number)
    if name.startswith("key:"):
        return pl.col("key") == pl.lit(_key(name))
    return (pl.col("key") == pl.lit(key_of(name))) | pl.col("id").str.starts_with(f"{name}#")


def thread_of(name: str) -> tuple[str, int]:
    """Board and number of `pol/1`, `/pol/1` or `4chan:pol/1`."""
    board, _, number = name.removeprefix("4chan:").strip("/").partition("/")
    if not board or not number.isdecimal():
        raise UsageError(
            f"a thread is board/number, not {name!r}", hint="For example pol/124205675."
        )
    return board, int(number)


def keys_of(kind: str, name: str) -> list[bytes]:
    """The keys that are known without the mix: of the document, and of its pieces if it has any."""
    if kind == "thread":
        board, number = thread_of(name)
        name = f"4chan:{board}/{number}"
    elif kind == "url":
        return []
    if name.startswith("key:"):
        return [_key(name)]
    return [key_of(name), *(key_of(f"{name}#{k}") for k in range(1, MAX_PIECES + 1))]


def group_of(kind: str, name: str) -> bytes | None:
    """The group of what is named, if the name tells it."""
    if kind == "url":
        return key_of(name)
    if kind == "thread":
        board, number = thread_of(name)
        return key_of(f"4chan:{board}/{number}")
    if name.startswith("4chan:"):
        return key_of("/".join(name.split("#")[0].split("/")[:2]))
    if "#" in name:
        return key_of(name.partition("#")[0])
    return None


def _key(name: str) -> bytes:
    digits = name.removeprefix("key:")
    if len(digits) != 32 or not set(digits) <= set("0123456789abcdef"):
        raise UsageError(f"a key is key: and 32 hex digits, not {name!r}")
    return bytes.fromhex(digits)


def _duplicates(mix: Opened, rows: "pl.DataFrame", condition: "pl.Expr") -> list[dict[str, Any]]:
    """Other documents with exactly the same text."""
    import polars as pl

    if not rows.height:
        return []
    same = pl.col("content").is_in(rows["content"].unique().implode()) & ~condition.fill_null(False)
    others = mix.spans().filter(same).select("id", "key", "component").unique().sort("id")
    found = collected(others)
    return [plain(row) for row in found.head(MAX_SPANS).iter_rows(named=True)]
