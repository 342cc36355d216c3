"""
Turn rows of spans.parquet into facts that print and travel as JSON.

    >>> plain({"key": b"\\x01\\xff", "url": None, "n_tokens": 3})
    {'key': '01ff', 'n_tokens': 3}
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from curate.audit.opened import COLUMNS, Opened

if TYPE_CHECKING:
    import polars as pl


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without nulls, bytes as hex digits."""
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in row.items()
        if value is not None
    }


def first_tokens(mix: Opened) -> list[int]:
    """The token of the mix's stream with which each shard begins."""
    firsts, total = [], 0
    for shard in mix.shards:
        firsts.append(total)
        total += shard["n_tokens"]
    return firsts


def span_facts(mix: Opened, row: Mapping[str, Any], firsts: list[int]) -> dict[str, Any]:
    """
    One span: the document, where it comes from, where it lies; `tags` apart.

    `token` counts from the start of the mix's stream, `bytes` are those of the shard's file, first
    and one past the last.
    """
    start, end = row["start"], row["start"] + row["n_tokens"]
    facts = plain({name: row[name] for name in COLUMNS if name != "start"})
    facts["shard"] = mix.shards[row["shard"]]["name"]
    facts["tokens"] = [start, end]
    facts["token"] = firsts[row["shard"]] + start
    facts["bytes"] = [start * mix.width, end * mix.width]
    tags = plain({name: value for name, value in row.items() if name not in (*COLUMNS, "row")})
    return {**({"row": row["row"]} if "row" in row else {}), **facts, "tags": tags}


def describe(facts: Mapping[str, Any]) -> str:
    """Two lines for people about a span."""
    where = facts.get("url") or facts["id"]
    piece = " (cut)" if facts["cut"] else ""
    return (
        f"{facts['id']}\n"
        f"  {facts['component']}, epoch {facts['epoch']}, {facts['n_tokens']:,} tokens{piece}, "
        f"shard {facts['shard']} tokens {facts['tokens'][0]:,}–{facts['tokens'][1]:,} "
        f"(bytes {facts['bytes'][0]:,}–{facts['bytes'][1]:,})\n"
        f"  from {facts['source']}: input {facts['input']}, byte {facts['offset']:,}"
        + (f", {where}" if where != facts["id"] else "")
    )


def with_row_numbers(spans: "pl.LazyFrame") -> "pl.LazyFrame":
    """The spans with their number in the stream as column `row`."""
    return spans.with_row_index("row")
