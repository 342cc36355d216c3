"""
Turn a parent's origin and a take-down into the origin of the next version: what went, what came.

The log (`origin.removals`) has one row for every span that went, with its place in *this* version,
so that anyone can check that nothing else moved. What went is named by a keyed digest alone.
"""

import copy
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from curate import manifest
from curate.run.removals import keyed

if TYPE_CHECKING:
    import polars as pl

    from curate.audit.opened import Opened

DROPPED = "dropped.parquet"
UNUSED = "[unused]"
REMOVED = "[removed]"
"""The clause under which documents that were taken down are counted as dropped."""

Pool = tuple[bool, str, str]
"""(of the hold-out, source, where): components with the same pool lose the same documents."""

Lost = dict[Pool, dict[bytes, tuple[int, int]]]
"""Pool → key → (tokens, bytes) of what was taken down."""


def pool_of(mix: "Opened", component: str) -> Pool:
    """The pool that a component draws on."""
    facts = mix.origin["components"][component]
    return mix.is_holdout, facts["source"], facts.get("where", "")


def lost_of(mixes: Sequence["Opened"], gone: Mapping[str, "pl.DataFrame"]) -> Lost:
    """What each pool loses, over all mixes: documents, with their whole lengths."""
    lost: Lost = {}
    for mix in mixes:
        wholes = {
            (c["name"], item["key"], item["epoch"]): item["n_tokens_whole"]
            for c in mix.content["components"]
            for item in c["cut"]
        }
        rows = gone[mix.manifest["name"]].select(
            "component", "epoch", "key", "n_tokens", "n_bytes", "cut"
        )
        for component, epoch, key, n_tokens, n_bytes, cut in rows.iter_rows():
            whole = wholes[component, key.hex(), epoch] if cut else n_tokens
            lost.setdefault(pool_of(mix, component), {})[key] = (whole, n_bytes)
    return lost


def origin_of(
    mix: "Opened", content: Mapping[str, Any], lost: Lost, log: list[dict[str, Any]]
) -> dict[str, Any]:
    """The origin of the next version of a mix; `content` is its own, `log` its whole removals."""
    origin = copy.deepcopy(mix.origin)
    origin["inputs"] = manifest.listed(origin["inputs"], mix.folder)
    origin["parent"] = {"version": mix.manifest["version"], "id": mix.manifest["id"]}
    origin["removals"] = log
    for component in content["components"]:
        facts = origin["components"][component["name"]]
        went = lost.get(pool_of(mix, component["name"]), {})
        if not went:
            continue
        eligible = facts["eligible"]
        eligible["n_documents"] -= len(went)
        eligible["n_tokens"] -= sum(n_tokens for n_tokens, _ in went.values())
        eligible["n_bytes"] -= sum(n_bytes for _, n_bytes in went.values())
        facts["n_unused"] = eligible["n_documents"] - component["n_documents"]
        dropped = {item["clause"]: item["n_documents"] for item in facts["dropped"]}
        dropped[REMOVED] = dropped.get(REMOVED, 0) + len(went)
        facts["dropped"] = [{"clause": c, "n_documents": n} for c, n in dropped.items()]
    return origin


def dropped_of(mix: "Opened", spans: "pl.DataFrame", lost: Lost) -> "pl.DataFrame | None":
    """
    The dropped.parquet of the next version, whose spans are given; None if a mix has no such list.

    What came is no longer unused; what was taken down is not listed under any reason.
    """
    import polars as pl

    path = mix.folder / DROPPED
    if not path.is_file():
        return None
    gone = pl.Series([key for went in lost.values() for key in went], dtype=pl.Binary)
    came = spans.select("key", "component", clause=pl.lit(UNUSED)).unique()
    kept = pl.read_parquet(path).filter(~pl.col("key").is_in(gone.implode()))
    return kept.join(came, on=["key", "component", "clause"], how="anti", maintain_order="left")


def with_amounts(content: dict[str, Any], origin: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with the residuals and epochs that its counts and its origin give."""
    delivered = {"tokens": "n_tokens", "documents": "n_spans", "bytes": "n_bytes"}
    for component in content["components"]:
        unit = delivered[component["unit"]]
        component["residual"] = component[unit] - component["requested"]
        eligible = origin["components"][component["name"]]["eligible"]["n_tokens"]
        passes = Fraction(component["n_tokens"], eligible) if eligible else Fraction(0)
        component["epochs"] = f"{passes.numerator}/{passes.denominator}"
    return content


def log_of(
    mix: "Opened",
    rows: "pl.DataFrame",
    added: list[list[dict[str, Any]]],
    *,
    version: str,
    reason: str,
    close: bool,
    secret: bytes,
) -> list[dict[str, Any]]:
    """The parent's removals, moved to where they are now, and those of these rows, in order."""
    old = manifest.listed(mix.origin.get("removals", []), mix.folder)
    log = list(old)
    for row, came in zip(rows.iter_rows(named=True), added, strict=True):
        place = {"shard": row["shard"], "start": row["start"], "n_tokens": row["n_tokens"]}
        entry = {
            "version": version,
            "reason": reason,
            "mode": "close" if close else "refill",
            "component": row["component"],
            "epoch": row["epoch"],
            **place,
            "removed": keyed(secret, "id", row["document"]),
            "added": came,
        }
        if _inside_refill(old, entry):
            entry["within"] = True
        log.append(entry)
    # What was closed up earlier stood before what starts where it was: the sort is stable.
    log.sort(key=lambda entry: (entry["shard"], entry["start"]))
    moved = _Moved(mix, rows if close else rows.clear())
    return [moved.entry(entry) for entry in log]


def _inside_refill(log: list[dict[str, Any]], entry: Mapping[str, Any]) -> bool:
    """Whether a place lies in one that was filled before."""
    return any(
        old["mode"] == "refill"
        and old["shard"] == entry["shard"]
        and old["start"] <= entry["start"] < old["start"] + old["n_tokens"]
        for old in log
    )


def deviation_of(
    mix: "Opened", content: Mapping[str, Any], spans: "pl.DataFrame", log: list[dict[str, Any]]
) -> dict[str, Any]:
    """
    The largest deviation of the next version.

    Where places are filled it is the parent's: between the ends of a place every component's
    deviation is a straight line. Where they are closed up it is counted again.
    """
    import numpy as np

    from curate.audit import schedule
    from curate.audit.patched import Places

    if content["n_tokens"] == mix.content["n_tokens"]:
        return dict(mix.content["largest_deviation"])
    now = Places([s["n_tokens"] for s in content["shards"]], log).collapsed(spans)
    lengths = now["n_tokens"].to_numpy().astype(np.int64)
    bent = {
        c["name"]: [(Fraction(s), Fraction(d)) for s, d in c["phases"]]
        for c in mix.content["components"]
        if "phases" in c
    }
    lines = schedule.schedules({c["name"]: c["n_tokens"] for c in content["components"]}, bent)
    value, name, at = schedule.largest_deviation(lines, now["component"].to_numpy(), lengths)
    by_source = content["layout"] == "by-source"
    longest = int(lengths.max(initial=0))
    bound = schedule.bound(lines, name, longest, content["n_tokens"], by_source)
    texts = [f"{f.numerator}/{f.denominator}" for f in (value, bound)]
    component = name or mix.content["largest_deviation"]["component"]
    return {"value": texts[0], "component": component, "at": at, "bound": texts[1]}


class _Moved:
    """Where places of a parent are once some of its spans are closed up."""

    def __init__(self, mix: "Opened", closed: "pl.DataFrame") -> None:
        self.closed: dict[int, list[tuple[int, int]]] = {}
        for shard, start, n_tokens in closed.select("shard", "start", "n_tokens").iter_rows():
            self.closed.setdefault(shard, []).append((start, n_tokens))
        self.numbers: list[int] = []
        number = 0
        for shard, facts in enumerate(mix.shards):
            self.numbers.append(number)
            left = facts["n_tokens"] - sum(n for _, n in self.closed.get(shard, []))
            number += left > 0

    def entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The entry with its place in the new version; what was closed inside shortens it."""
        first, end = entry["start"], entry["start"] + entry["n_tokens"]
        holes = self.closed.get(entry["shard"], [])
        before = sum(n for start, n in holes if start < first)
        inside = sum(n for start, n in holes if first <= start < end)
        moved = {**entry, "start": first - before}
        if entry["shard"] < len(self.numbers):
            moved["shard"] = self.numbers[entry["shard"]]
        if entry["mode"] == "refill" and inside:
            moved["n_tokens"] -= inside
            moved["closed"] = entry.get("closed", 0) + inside
        return moved
