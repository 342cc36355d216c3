"""
Turn two mixes into what differs: documents, tokens, declarations, shards, and which of their bytes.

All of it comes from manifests and spans; only `read_bytes` opens shards, for the exact bytes.

    >>> changes({"a": 1, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [1, 3]}, "d": 0})
    [{'field': 'b.c[1]', 'a': 2, 'b': 3}, {'field': 'd', 'b': 0}]
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from curate.audit.inspect import inspect
from curate.audit.opened import Opened, collected
from curate.audit.rows import plain

if TYPE_CHECKING:
    import polars as pl

MAX_LISTED = 1_000
"""Documents and byte ranges that are listed; all are counted."""

BLOCK = 2**22
DECLARED = ("recipe", "arm", "lock", "tool", "libraries", "stages", "taggers", "tokenizer")
"""Fields of `origin` that are declarations, not counts."""

BY = ("component", "band", "place", "source")


def diff(
    a: Opened, b: Opened, *, read_bytes: bool = False, tag: str | None = None
) -> dict[str, Any]:
    """
    What changed from `a` to `b`.

    `documents` in and out by key, `components` whose streams differ, `tables` of tokens by
    component, score band, place and source where they differ, `declared` fields of recipe, lock,
    models and tokenizer, `shards` that are byte-identical, and spans, with their byte ranges, that
    are not the same at the same place of the others.
    """
    same = a.manifest["content_id"] == b.manifest["content_id"]
    left, right = _spans(a), _spans(b)
    return {
        "a": {"mix": a.title, "content_id": a.manifest["content_id"], "id": a.manifest["id"]},
        "b": {"mix": b.title, "content_id": b.manifest["content_id"], "id": b.manifest["id"]},
        "same_content": same,
        "totals": changes(_totals(a), _totals(b)),
        "components": _components(a, b),
        "documents": {"out": _only(left, right), "in": _only(right, left)},
        "tables": _tables(a, b, tag),
        "declared": changes(
            {name: a.origin[name] for name in DECLARED if name in a.origin},
            {name: b.origin[name] for name in DECLARED if name in b.origin},
        ),
        "shards": _shards(a, b, left, right, read_bytes),
    }


def changes(a: Any, b: Any, where: str = "") -> list[dict[str, Any]]:
    """Every leaf that differs between two JSON values: its field, and both values where present."""
    return list(_changes(a, b, where))


def _changes(a: Any, b: Any, where: str) -> Iterator[dict[str, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in sorted({*a, *b}):
            inner = f"{where}.{name}".lstrip(".")
            if name in a and name in b:
                yield from _changes(a[name], b[name], inner)
            else:
                side = "a" if name in a else "b"
                yield {"field": inner, side: (a if name in a else b)[name]}
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for number, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _changes(one, other, f"{where}[{number}]")
    elif a != b:
        yield {"field": where, "a": a, "b": b}


def _totals(mix: Opened) -> dict[str, Any]:
    names = ("n_tokens", "n_spans", "n_documents", "n_bytes", "layout", "seed", "tokenizer")
    return {name: mix.content[name] for name in names} | {"n_shards": len(mix.shards)}


def _components(a: Opened, b: Opened) -> list[dict[str, Any]]:
    """Per component whether its stream is the same, and the numbers that differ."""
    left, right = ({c["name"]: c for c in mix.content["components"]} for mix in (a, b))
    return [
        {
            "name": name,
            "same_stream": left.get(name, {}).get("stream_digest")
            == right.get(name, {}).get("stream_digest"),
            "changes": changes(left.get(name, {}), right.get(name, {})),
        }
        for name in sorted({*left, *right})
    ]


def _spans(mix: Opened) -> "pl.DataFrame":
    names = ["key", "id", "component", "shard", "start", "n_tokens", "digest"]
    return collected(mix.spans().select(names))


def _only(one: "pl.DataFrame", other: "pl.DataFrame") -> dict[str, Any]:
    """Documents with spans in `one` and none in `other`."""
    import polars as pl

    found = (
        one.join(other.select("key").unique(), on="key", how="anti")
        .group_by("key", "id", "component")
        .agg(pl.len().alias("n_spans"), pl.col("n_tokens").cast(pl.UInt64).sum())
        .sort("key")
    )
    return {
        "n_documents": found["key"].n_unique(),
        "n_spans": int(found["n_spans"].sum()),
        "n_tokens": int(found["n_tokens"].sum()),
        "listed": [plain(row) for row in found.head(MAX_LISTED).iter_rows(named=True)],
    }


def _tables(a: Opened, b: Opened, tag: str | None) -> dict[str, list[dict[str, Any]]]:
    """Values whose tokens differ, per table."""
    left, right = (inspect(mix, by=BY, tag=tag, top=2**62)["tables"] for mix in (a, b))
    result = {}
    for name in sorted({*left, *right}):
        before = {row["value"]: row["n_tokens"] for row in left.get(name, [])}
        after = {row["value"]: row["n_tokens"] for row in right.get(name, [])}
        rows = [
            {"value": value, "a": before.get(value, 0), "b": after.get(value, 0)}
            for value in {**before, **after}
            if before.get(value, 0) != after.get(value, 0)
        ]
        rows.sort(key=lambda row: (-abs(row["a"] - row["b"]), str(row["value"])))
        result[name] = rows[:MAX_LISTED]
    return result


def _shards(
    a: Opened, b: Opened, left: "pl.DataFrame", right: "pl.DataFrame", read_bytes: bool
) -> dict[str, Any]:
    theirs = {shard["sha256"]: shard["name"] for shard in b.shards}
    equal = [{"a": s["name"], "b": theirs[s["sha256"]]} for s in a.shards if s["sha256"] in theirs]
    known = {pair["a"] for pair in equal}, {pair["b"] for pair in equal}
    others = [
        _shard(a, b, left, right, number, read_bytes)
        for number in range(min(len(a.shards), len(b.shards)))
        if a.shards[number]["name"] not in known[0] and b.shards[number]["name"] not in known[1]
    ]
    paired = {pair["a"] for pair in others} | known[0], {pair["b"] for pair in others} | known[1]
    return {
        "identical": equal,
        "different": others,
        "only_a": [s["name"] for s in a.shards if s["name"] not in paired[0]],
        "only_b": [s["name"] for s in b.shards if s["name"] not in paired[1]],
    }


def _shard(
    a: Opened, b: Opened, left: "pl.DataFrame", right: "pl.DataFrame", number: int, read_bytes: bool
) -> dict[str, Any]:
    """Spans at the same number of both mixes that are not the same at the same place."""
    import polars as pl

    place = ["start", "n_tokens", "digest"]
    mine, other = (table.filter(pl.col("shard") == number) for table in (left, right))
    before = mine.join(other, on=place, how="anti", maintain_order="left")
    after = other.join(mine, on=place, how="anti", maintain_order="left")
    found: dict[str, Any] = {
        "number": number,
        "a": a.shards[number]["name"],
        "b": b.shards[number]["name"],
        "n_spans_a": before.height,
        "n_spans_b": after.height,
        "spans_a": _ranges(before, a.width),
        "spans_b": _ranges(after, b.width),
    }
    if read_bytes:
        found["bytes"] = _byte_ranges(a, b, number)
    return found


def _ranges(spans: "pl.DataFrame", width: int) -> list[list[int]]:
    """Byte ranges [first, one past the last] of spans, neighbours joined."""
    joined: list[list[int]] = []
    for start, n_tokens in spans.select("start", "n_tokens").iter_rows():
        first, end = start * width, (start + n_tokens) * width
        if joined and joined[-1][1] == first:
            joined[-1][1] = end
        else:
            joined.append([first, end])
    return joined[:MAX_LISTED]


def _byte_ranges(a: Opened, b: Opened, number: int) -> dict[str, Any]:
    """Where the bytes of two shards differ, to the id; a longer one's rest differs as well."""
    import numpy as np

    left, right = a.ids(number), b.ids(number)
    width, common = a.width, min(len(left), len(right))
    if a.width != b.width:
        return {
            "n_ids": max(len(left), len(right)),
            "ranges": [[0, max(left.nbytes, right.nbytes)]],
        }
    pieces = []
    for first in range(0, common, BLOCK):
        stop = min(first + BLOCK, common)
        pieces.append(np.flatnonzero(left[first:stop] != right[first:stop]) + first)
    if len(left) != len(right):
        pieces.append(np.arange(common, max(len(left), len(right))))
    places = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)
    edges = np.flatnonzero(np.diff(places) != 1)
    firsts = places[np.concatenate([[0], edges + 1])] if len(places) else places
    lasts = places[np.concatenate([edges, [len(places) - 1]])] if len(places) else places
    pairs = zip((firsts * width).tolist(), ((lasts + 1) * width).tolist(), strict=True)
    return {"n_ids": len(places), "ranges": [list(pair) for pair in pairs][:MAX_LISTED]}
