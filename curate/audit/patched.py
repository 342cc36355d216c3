"""
Turn a mix that documents were taken out of into the stream that it was planned as.

`origin.removals` says, in the coordinates of this version, where spans went: places that were
filled (`refill`) hold other spans of as many tokens, places that were closed up hold nothing. Seen
as one span each, filled places leave every law of mixing as it was; closed ones are put back as
blanks.

    >>> import polars as pl
    >>> spans = pl.DataFrame({"component": ["a", "b", "b"], "shard": [0, 0, 0], "start": [0, 4, 7],
    ...     "n_tokens": [4, 3, 2]})
    >>> place = {"mode": "refill", "component": "b", "shard": 0, "start": 4, "n_tokens": 5}
    >>> Places([9], [place]).planned(spans)["n_tokens"].to_list()
    [4, 5]
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate import manifest
from curate.audit.findings import Finding
from curate.audit.opened import SPANS, Opened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

Entry = Mapping[str, Any]


class Places:
    """Where spans of a mix went, given the tokens of its shards and its log of removals."""

    def __init__(self, sizes: list[int], log: Sequence[Entry]) -> None:
        self.log = log
        self.firsts = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
        # A place inside another was made when a substitute went; the outer one speaks for both.
        self.filled = sorted(
            (self.token(e), self.token(e) + e["n_tokens"], e.get("closed", 0))
            for e in log
            if e["mode"] == "refill" and e["n_tokens"] and not e.get("within", False)
        )

    def token(self, entry: Entry) -> int:
        """The token of the stream at which a place begins."""
        shard: int = min(entry["shard"], len(self.firsts) - 1)
        start: int = entry["start"]
        return self.firsts[shard] + start

    def of(self, spans: "pl.DataFrame") -> "npt.NDArray[np.int64]":
        """For each span the number of the filled place it lies in, or −1."""
        import numpy as np

        starts = self.starts(spans)
        ends = starts + spans["n_tokens"].to_numpy().astype(np.int64)
        if not self.filled:
            return np.full(spans.height, -1, dtype=np.int64)
        firsts = np.array([first for first, _, _ in self.filled])
        lasts = np.array([end for _, end, _ in self.filled])
        at = np.searchsorted(firsts, starts, side="right") - 1
        inside = (
            (at >= 0) & (starts < lasts[np.maximum(at, 0)]) & (ends <= lasts[np.maximum(at, 0)])
        )
        return np.where(inside, at, -1)

    def collapsed(self, spans: "pl.DataFrame") -> "pl.DataFrame":
        """`component` and `n_tokens` (Int64) with every filled place as one span."""
        import numpy as np
        import polars as pl

        place = self.of(spans)
        alone = np.arange(spans.height) + len(self.filled)
        closed = np.array([c for _, _, c in self.filled] or [0])
        first = np.r_[True, place[1:] != place[:-1]] & (place >= 0) if len(place) else place >= 0
        lengths = spans["n_tokens"].cast(pl.Int64).to_numpy() + np.where(
            first, closed[np.maximum(place, 0)], 0
        )
        return (
            spans.select(
                "component",
                pl.Series("n_tokens", lengths),
                at=pl.Series(self.starts(spans)),
                group=pl.Series(np.where(place >= 0, place, alone)),
            )
            .group_by("group", maintain_order=True)
            .agg(pl.col("component", "at").first(), pl.col("n_tokens").sum())
            .select("component", "n_tokens", "at")
        )

    def starts(self, spans: "pl.DataFrame") -> "npt.NDArray[np.int64]":
        """The token of the stream at which each span begins."""
        import numpy as np

        firsts = np.array(self.firsts, dtype=np.int64)[spans["shard"].to_numpy()]
        begins: npt.NDArray[np.int64] = firsts + spans["start"].to_numpy().astype(np.int64)
        return begins

    def planned(self, spans: "pl.DataFrame") -> "pl.DataFrame":
        """`component` and `n_tokens` of the stream before anything went, in order."""
        import polars as pl

        rows = self.collapsed(spans).with_columns(order=pl.lit(1), number=pl.int_range(pl.len()))
        blanks = [
            (e["component"], self._blank(e), self.token(e), 0, number)
            for number, e in enumerate(self.log)
            if self._blank(e)
        ]
        if not blanks:
            return rows.select("component", "n_tokens")
        closed = pl.DataFrame(blanks, schema=rows.schema, orient="row")
        both = pl.concat([rows, closed]).sort("at", "order", "number")
        return both.select("component", "n_tokens")

    @staticmethod
    def _blank(entry: Entry) -> int:
        """Tokens of a place that holds nothing any more; 0 if another entry speaks for it."""
        if entry.get("within", False):
            return 0
        closed: int = entry["n_tokens"] if entry["mode"] == "close" else entry.get("closed", 0)
        return closed if entry["mode"] == "close" or not entry["n_tokens"] else 0

    @property
    def closed(self) -> bool:
        """Whether anything was closed up, so that amounts are smaller than planned."""
        return any(entry["mode"] == "close" for entry in self.log)


def places_of(mix: Opened) -> Places:
    """The places of a mix; none if nothing was ever taken out."""
    log = manifest.listed(mix.origin.get("removals", []), mix.folder)
    return Places([shard["n_tokens"] for shard in mix.shards], log)


def closed_tokens(mix: Opened, component: str) -> int:
    """Tokens of a component that were closed up, over all versions."""
    log = manifest.listed(mix.origin.get("removals", []), mix.folder)
    mine = (e for e in log if e["mode"] == "close" and e["component"] == component)
    return sum(int(entry["n_tokens"]) for entry in mine)


def check(mix: Opened, spans: "pl.DataFrame", places: Places) -> Iterator[Finding]:
    """What the log says came is what is there; nothing lies across the edge of a place."""
    import numpy as np

    begins = places.starts(spans)
    edges = {*begins.tolist(), mix.content["n_tokens"]}
    for number, entry in enumerate(places.log):
        if entry["mode"] != "refill" or not entry["n_tokens"]:
            continue
        first = places.token(entry)
        end = first + entry["n_tokens"]
        where = f"removals[{number}]"
        if not {first, end} <= edges:
            yield Finding("removal", SPANS, where, "a span lies across the edge of this place")
            continue
        later = [e for e in places.log if e is not entry and _within(places, e, first, end)]
        if later or entry.get("closed"):
            continue  # what came here went again, at least in part
        inside = np.flatnonzero((begins >= first) & (begins < end))
        rows = spans[inside].select("key", "epoch", "n_tokens", "component")
        found = [(k.hex(), epoch, n) for k, epoch, n, _ in rows.iter_rows()]
        said = [(a["key"], a["epoch"], a["n_tokens"]) for a in entry["added"]]
        if found != said or set(rows["component"]) != {entry["component"]}:
            yield Finding("removal", SPANS, where, "what is there is not what the log says came")


def _within(places: Places, entry: Entry, first: int, end: int) -> bool:
    """Whether another entry's place lies in [first, end), or is it."""
    at = places.token(entry)
    return entry["mode"] == "refill" and first <= at and at + entry["n_tokens"] <= end
