"""
Turn the spans of a mix into every count its manifest's `content` makes of them, and compare.

    >>> import polars as pl
    >>> tails([{"n_tokens": 10}], pl.DataFrame({"component": ["a", "b"], "shard": [0, 0],
    ...     "start": [0, 6], "n_tokens": [6, 4]}), 4)
    {'a': 0, 'b': 2}
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.audit import merkle
from curate.audit.arithmetic import DELIVERED, fraction, inputs
from curate.audit.findings import Finding
from curate.audit.opened import SPANS, Opened

if TYPE_CHECKING:
    import polars as pl

MANIFEST = "manifest.json"


def check(mix: Opened, spans: "pl.DataFrame") -> Iterator[Finding]:
    """
    Findings about counts; `spans` has the columns of docs/format.md §5.3 in stream order.

    Totals are sums of components, which `arithmetic` checks; each component is counted here.
    """
    content = mix.content
    for component in content["components"]:
        yield from _component(mix, component, spans)
    unknown = set(spans["component"].unique()) - {c["name"] for c in content["components"]}
    for name in sorted(unknown):
        yield Finding("component", SPANS, f"component {name}", "is not in the manifest")
    names = [c["name"] for c in content["components"]]
    for width, said in content["windows"].items():
        found = {**dict.fromkeys(names, 0), **tails(mix.shards, spans, int(width))}
        yield from _equal(f"content.windows.{width}.n_dropped", said["n_dropped"], found)
    keys, hashes = merkle.leaves(spans)
    yield from _equal("content.n_documents", content["n_documents"], len(keys))
    yield from _equal("content.merkle_root", content["merkle_root"], merkle.root(hashes).hex())
    yield from _identities(mix, spans)
    yield from _periods(mix, spans)


def _equal(where: str, said: object, found: object) -> Iterator[Finding]:
    if said != found:
        shown = [f"{v:,}" if isinstance(v, int) else str(v) for v in (said, found)]
        what = f"the manifest says {shown[0]}, the spans give {shown[1]}"
        yield Finding("count", MANIFEST, where, what)


def _sum(spans: "pl.DataFrame", column: str) -> int:
    import polars as pl

    return int(spans[column].cast(pl.UInt64).sum())


def _component(mix: Opened, said: Mapping[str, Any], spans: "pl.DataFrame") -> Iterator[Finding]:
    import polars as pl

    where = f"content.components.{said['name']}"
    mine = spans.filter(pl.col("component") == said["name"])
    n_tokens = _sum(mine, "n_tokens")
    found: dict[str, Any] = {
        "n_tokens": n_tokens,
        "n_spans": mine.height,
        "n_documents": mine["key"].n_unique(),
        "n_bytes": _sum(mine, "n_bytes"),
        "share": fraction(n_tokens, _sum(spans, "n_tokens")),
        "stream_digest": hashlib.sha256(b"".join(mine["digest"].to_list())).hexdigest(),
    }
    found["residual"] = found[DELIVERED[said["unit"]]] - said["requested"]
    for field, value in found.items():
        yield from _equal(f"{where}.{field}", said[field], value)
    cut = mine.filter(pl.col("cut")).select(pl.col("key").bin.encode("hex"), "epoch", "n_tokens")
    listed = [(c["key"], c["epoch"], c["n_tokens"]) for c in said["cut"]]
    yield from _equal(f"{where}.cut", listed, cut.rows())
    for number, item in enumerate(said["cut"]):
        if item["n_tokens"] >= item["n_tokens_whole"]:
            what = f"cut to {item['n_tokens']:,} of {item['n_tokens_whole']:,} tokens"
            yield Finding("count", MANIFEST, f"{where}.cut[{number}]", what)
    facts = mix.origin["components"].get(said["name"], {"source": ""})
    for source in sorted(set(mine["source"].unique()) - {facts["source"]}):
        what = f"spans are of source {source!r}, the manifest says {facts['source']!r}"
        yield Finding("component", SPANS, f"component {said['name']}", what)


def tails(shards: Sequence[Mapping[str, Any]], spans: "pl.DataFrame", width: int) -> dict[str, int]:
    """Component → tokens that lie after the last whole window of `width` ids of their shard."""
    import polars as pl

    ends = [shard["n_tokens"] // width * width for shard in shards]
    table = pl.DataFrame(
        {"shard": range(len(ends)), "last": ends},
        schema={"shard": spans["shard"].dtype, "last": pl.Int64},
    )
    start, end = pl.col("start").cast(pl.Int64), pl.col("start").cast(pl.Int64) + pl.col("n_tokens")
    lost = (end - pl.max_horizontal(start, "last")).clip(lower_bound=0)
    counted = (
        spans.select("component", "shard", "start", "n_tokens")
        .join(table, on="shard", how="left", maintain_order="left")
        .group_by("component", maintain_order=True)
        .agg(lost.sum())
    )
    return {name: int(n) for name, n in counted.sort("component").iter_rows()}


def _identities(mix: Opened, spans: "pl.DataFrame") -> Iterator[Finding]:
    """Keys are digests of ids, groups of threads or URLs; every input is listed for its source."""
    import polars as pl

    sha256 = hashlib.sha256
    for row, (key, name) in enumerate(zip(spans["key"].to_list(), spans["id"], strict=True)):
        if sha256(name.encode()).digest()[:16] != key:
            what = "its key is not the digest of its id"
            yield Finding("identity", SPANS, f"row {row}", what)
    thread = "4chan:" + pl.col("board") + "/" + pl.col("thread").cast(pl.String)
    named = spans.select("group", name=pl.coalesce(thread, "url"))
    for row, (group, name) in enumerate(named.iter_rows()):
        if name is not None and sha256(name.encode()).digest()[:16] != group:
            what = "its group is not the digest of its thread or URL"
            yield Finding("identity", SPANS, f"row {row}", what)
    listed = {(i["source"], i["sha256"][:16]) for i in inputs(mix)}
    for pair in sorted(set(spans.select("source", "input").unique().iter_rows()) - listed):
        what = f"input {pair[1]} of source {pair[0]!r} is not in origin.inputs"
        yield Finding("identity", SPANS, "", what)


def _periods(mix: Opened, spans: "pl.DataFrame") -> Iterator[Finding]:
    """No document is older or newer than its source is said to be."""
    import polars as pl

    days = spans.select("source", day=pl.from_epoch("timestamp").dt.strftime("%Y-%m-%d"))
    seen = (
        days.drop_nulls()
        .group_by("source")
        .agg(pl.col("day").min().alias("first"), pl.col("day").max().alias("last"))
    )
    for name, first, last in seen.sort("source").iter_rows():
        said = mix.origin["sources"].get(name, {}).get("period", {"from": first, "to": last})
        if first < said["from"] or last > said["to"]:
            what = f"the manifest says {said['from']} to {said['to']}, "
            what += f"the spans are of {first} to {last}"
            yield Finding("count", MANIFEST, f"origin.sources.{name}.period", what)
