"""
Turn a list of documents or passages into what a mix has of them: opt-outs, block lists, exam items.

A list names documents, one a line: an id, a URL, `board/thread`, or a registered domain. Items are
passages, one a line: every run of five words of every text is compared with theirs.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from curate.audit import textindex
from curate.audit.find import thread_of
from curate.audit.findings import Progress, silent
from curate.audit.opened import Opened, collected
from curate.audit.passage import matched, rows_of, vocabulary_and_words
from curate.audit.rows import first_tokens, span_facts
from curate.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

MAX_SHOWN = 1_000
"""Entries or items that are listed with what was found of them; all are counted."""


def find_listed(mix: Opened, text: str) -> dict[str, Any]:
    """
    For every entry of a list how many spans, documents and tokens the mix has of it.

    Blank lines and lines that start with # are no entries. `list.sha256` is that of the entries,
    sorted, each with a newline, so that the answer says which list it is about.
    """
    import polars as pl

    lines = [(n, line.strip()) for n, line in enumerate(text.split("\n"), 1)]
    entries = [(n, line) for n, line in lines if line and not line.startswith("#")]
    if not entries:
        raise UsageError("the list has no entry")
    rows = [(n, entry, *name) for n, entry in entries for name in _meant(entry)]
    wanted = pl.DataFrame(
        rows,
        schema={"line": pl.Int64, "entry": pl.String, "kind": pl.String, "value": pl.String},
        orient="row",
    )
    thread = pl.col("board") + "/" + pl.col("thread").cast(pl.String)
    # A piece k of a document has the id `<id>#<k>`; no other id ends in so short a number.
    meant = {
        "id": pl.col("id").str.replace(r"#[0-9]{1,9}$", ""),
        "piece": pl.col("id"),
        "key": pl.col("key").bin.encode("hex"),
        "url": pl.col("url"),
        "thread": thread,
        "domain": pl.col("registered_domain"),
    }
    names = {f"as:{kind}": expression for kind, expression in meant.items()}
    spans = collected(mix.spans().select("key", "n_tokens", **names))
    found = pl.concat([_counted(spans, wanted, kind) for kind in meant])
    by_entry = (
        found.unique(["line", "row"])
        .group_by("line", "entry")
        .agg(
            pl.len().alias("n_spans"),
            pl.col("key").n_unique().alias("n_documents"),
            pl.col("n_tokens").cast(pl.UInt64).sum(),
        )
        .sort("line")
    )
    each = found.unique("row")
    listed = sorted({entry for _, entry in entries})
    return {
        "mix": mix.title,
        "content_id": mix.manifest["content_id"],
        "list": {
            "sha256": sha256("".join(f"{entry}\n" for entry in listed).encode()).hexdigest(),
            "n_entries": len(entries),
        },
        "n_matches": by_entry.height,
        "n_spans": each.height,
        "n_tokens": int(each["n_tokens"].cast(pl.UInt64).sum()),
        "matches": by_entry.head(MAX_SHOWN).to_dicts(),
    }


def _meant(entry: str) -> list[tuple[str, str]]:
    """(kind of name, name) for each thing that an entry can be."""
    if entry.startswith("key:"):
        return [("key", entry.removeprefix("key:"))]
    if _is_thread(entry):
        board, number = thread_of(entry)
        return [("thread", f"{board}/{number}")]
    if "://" in entry:
        return [("id", entry), ("piece", entry), ("url", entry)]
    if entry.startswith(("4chan:", "sha256:")):
        return [("id", entry), ("piece", entry)]
    return [("domain", entry.lower())]


def _is_thread(entry: str) -> bool:
    """Whether an entry names a whole thread, which stands for its posts as well."""
    told = entry.startswith("4chan:") or "://" not in entry
    return told and entry.strip("/").count("/") == 1 and "#" not in entry


def _counted(spans: "pl.DataFrame", wanted: "pl.DataFrame", kind: str) -> "pl.DataFrame":
    import polars as pl

    mine = wanted.filter(pl.col("kind") == kind).select("line", "entry", name="value")
    rows = spans.select("key", "n_tokens", name=f"as:{kind}").with_row_index("row")
    return rows.join(mine, on="name", how="inner").select("line", "entry", "row", "key", "n_tokens")


def find_items(
    mix: Opened, text: str, *, near: float = 0.5, progress: Progress = silent
) -> dict[str, Any]:
    """
    For every item the documents that hold it (`exact`), or at least `near` of its five-word runs.

    Items of less than five words are counted as `n_skipped`. `matches` has of each item that was
    found the nearest document and how many there are.
    """
    items = [line.strip() for line in text.split("\n") if line.strip()]
    if not items:
        raise UsageError("there is no item")
    vocabulary, words = vocabulary_and_words(mix, items)
    looked_for = [n for n, item in enumerate(words) if len(item) >= textindex.GRAM]
    shared = _shared(mix, vocabulary, [words[n] for n in looked_for], near, progress)
    spans = collected(mix.spans().select("shard", "start", "n_tokens"))
    found = {
        looked_for[place]: matched(mix, vocabulary, words[looked_for[place]], spans, rows, near)
        for place, rows in shared.items()
    }
    found = {n: rows for n, rows in found.items() if rows}
    shown = dict(list(found.items())[:MAX_SHOWN])
    firsts = first_tokens(mix)
    nearest = rows_of(mix.spans().with_row_index("row"), [rows[0][0] for rows in shown.values()])
    facts = {row["row"]: span_facts(mix, row, firsts) for row in nearest.iter_rows(named=True)}
    exact = sum(rows[0][1] for rows in found.values())
    return {
        "mix": mix.title,
        "content_id": mix.manifest["content_id"],
        "list": {
            "sha256": sha256("".join(f"{item}\n" for item in items).encode()).hexdigest(),
            "n_entries": len(items),
        },
        "n_skipped": len(items) - len(looked_for),
        "n_exact": exact,
        "n_near": len(found) - exact,
        "error_rate": "every run of five words of every text was compared: nothing is missed, "
        "nothing is found by chance",
        "matches": [
            {
                "item": n + 1,
                "exact": rows[0][1],
                "containment": round(rows[0][2], 4),
                "n_spans": len(rows),
                "span": facts[rows[0][0]],
            }
            for n, rows in shown.items()
        ],
    }


def _shared(
    mix: Opened, vocabulary: Any, words: Sequence[list[bytes]], near: float, progress: Progress
) -> dict[int, list[int]]:
    """Item → rows whose texts share enough of its grams, the nearest first."""
    import numpy as np
    import polars as pl

    if not words:
        return {}
    texts = [b" ".join(item) for item in words]
    data = np.frombuffer(b"".join(texts), dtype=np.uint8)
    edges = np.cumsum([0, *map(len, texts)])
    hashes, items = textindex.grams(data, edges)
    wanted = pl.DataFrame({"gram": hashes, "item": items}).unique()
    grams = np.unique(hashes)
    pairs = [pl.DataFrame(schema={"gram": pl.UInt64, "row": pl.Int64})]
    spans = collected(mix.spans().select("n_tokens"))
    first_row = 0
    with progress("reading texts", mix.content["n_tokens"] * mix.width) as advance:
        for number, shard in enumerate(mix.shards):
            rows = spans[first_row : first_row + shard["n_spans"]]
            for first, text, places in textindex.decoded(mix, number, rows, vocabulary):
                theirs, documents = textindex.grams(text, places)
                hit = np.isin(theirs, grams)
                found = {"gram": theirs[hit], "row": documents[hit] + first_row + first}
                pairs.append(pl.DataFrame(found).unique())
            first_row += shard["n_spans"]
            advance(shard["n_tokens"] * mix.width)
    whole = wanted.group_by("item").len("n_grams")
    near_enough = (
        pl.concat(pairs)
        .join(wanted, on="gram")
        .group_by("item", "row")
        .len("n")
        .join(whole, on="item")
        .filter(pl.col("n") >= pl.col("n_grams") * near)
        .sort(["item", "n", "row"], descending=[False, True, False])
    )
    return {
        int(item): rows["row"].to_list()
        for (item,), rows in near_enough.partition_by(
            "item", as_dict=True, maintain_order=True
        ).items()
    }
