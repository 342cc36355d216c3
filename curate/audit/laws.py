"""
Turn the spans of a mix into the places where they break the laws of mixing (docs/format.md §4).

Rank, order, deviation, cut and overlap are derived again here, in whole numbers and fractions.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from curate.audit import patched, schedule
from curate.audit.findings import Finding
from curate.audit.opened import SPANS, Opened
from curate.audit.rank import ranks

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Positions = npt.NDArray[np.int64]

MANIFEST = "manifest.json"


def check(mix: Opened, spans: "pl.DataFrame") -> Iterator[Finding]:
    """Findings about order, ranks, cuts, overlap and deviation of all spans in stream order."""
    names = sorted(c["name"] for c in mix.content["components"])
    places = patched.places_of(mix)
    yield from patched.check(mix, spans, places)
    yield from _overlap(mix, spans)
    own = spans.with_row_index("row").filter(places.of(spans) < 0)
    for name in names:
        yield from _ranks(mix, own, name)
    planned = places.planned(spans)
    if mix.content["layout"] == "by-source":
        yield from _by_source(spans)
    else:
        yield from _interleaved(_schedules(mix, planned), planned)
    now = places.collapsed(spans)
    yield from _deviation(mix, _schedules(mix, now), now)


def _begins(lengths: "Positions") -> "Positions":
    import numpy as np

    begins: Positions = np.cumsum(lengths) - lengths
    return begins


def _lengths(spans: "pl.DataFrame") -> "Positions":
    import numpy as np

    lengths: Positions = spans["n_tokens"].to_numpy().astype(np.int64)
    return lengths


def _overlap(mix: Opened, spans: "pl.DataFrame") -> Iterator[Finding]:
    """A document belongs to one component, and is in the mix once an epoch."""
    import polars as pl

    # Components that draw on one pool one after the other (controls) may share its documents.
    pools = {
        name: f"{facts['source']} {facts.get('where', '')}"
        for name, facts in mix.origin["components"].items()
    }
    pool = pl.col("component").replace_strict(pools, default=pl.col("component"))
    shared = spans.group_by("key").agg(pool.n_unique().alias("n")).filter(pl.col("n") > 1)
    if shared.height:
        what = f"{shared.height:,} documents are in more than one component"
        yield Finding("order", SPANS, f"key {min(shared['key']).hex()}", what)
    twice = spans.select("epoch", "key").is_duplicated()
    if twice.any():
        row = int(twice.arg_true()[0])
        what = f"{int(twice.sum()):,} spans of documents that are in an epoch more than once"
        yield Finding("order", SPANS, f"row {row}", what)


def _ranks(mix: Opened, spans: "pl.DataFrame", name: str) -> Iterator[Finding]:
    """Within a component: (epoch, rank, key) ascending; what is cut stands last; whole epochs."""
    import numpy as np
    import polars as pl

    from curate.document import key_words

    mine = spans.filter(pl.col("component") == name)
    if not mine.height:
        return
    place = f"component {name}"
    epochs = mine["epoch"].to_numpy()
    words = key_words(mine["key"])
    found = np.empty(mine.height, dtype=np.uint64)
    for epoch in np.unique(epochs).tolist():
        which = epochs == epoch
        found[which] = ranks(words[which], seed=mix.content["seed"], epoch=epoch)
    ordered = mine.select("row", "epoch", "key", rank=pl.Series(found)).sort(
        "epoch", "rank", "key", maintain_order=True
    )
    wrong = np.flatnonzero((ordered["row"] != mine["row"]).to_numpy())
    if len(wrong):
        what = f"{len(wrong):,} spans are not where (epoch, rank, key) puts them"
        yield Finding("order", SPANS, f"row {mine['row'][int(wrong[0])]}, {place}", what)
    cut = np.flatnonzero(mine["cut"].to_numpy())
    if len(cut) > 2 or len(cut) != int((cut >= mine.height - 2).sum()):
        what = f"{len(cut):,} spans are cut; only the last two of a component may be"
        yield Finding("order", SPANS, f"row {mine['row'][int(cut[0])]}, {place}", what)
    yield from _epochs(mix, mine, name)


def _epochs(mix: Opened, mine: "pl.DataFrame", name: str) -> Iterator[Finding]:
    """Every epoch between the first and the last holds every eligible document."""
    facts = mix.origin["components"].get(name)
    counts = mine.group_by("epoch").len().sort("epoch").rows()
    if facts is None:
        return
    for number, (epoch, n) in enumerate(counts):
        full = facts["eligible"]["n_documents"]
        inner = 0 < number < len(counts) - 1
        if epoch != counts[0][0] + number or (n != full if inner else n > full):
            what = f"epoch {epoch} has {n:,} documents, {full:,} are eligible"
            yield Finding("order", SPANS, f"component {name}", what)


def _by_source(spans: "pl.DataFrame") -> Iterator[Finding]:
    """Components one after the other in order of name, each from a new shard."""
    new = spans["component"] != spans["component"].shift()
    names = spans["component"].filter(new.fill_null(True)).to_list()
    if names != sorted(set(names)):
        yield Finding("order", SPANS, "", "components do not follow one another in order of name")
    first = spans["start"].filter(new.fill_null(True))
    if (first != 0).any():
        yield Finding("order", SPANS, "", "a component does not start with a shard of its own")


def _schedules(mix: Opened, spans: "pl.DataFrame") -> dict[str, list[schedule.Piece]]:
    totals = {name: int(n) for name, n in spans.group_by("component").agg(_tokens()).iter_rows()}
    bent = {
        component["name"]: [(Fraction(s), Fraction(d)) for s, d in component["phases"]]
        for component in mix.content["components"]
        if "phases" in component
    }
    return schedule.schedules(totals, bent)


def _tokens() -> "pl.Expr":
    import polars as pl

    return pl.col("n_tokens").cast(pl.Int64).sum()


def _interleaved(
    pieces: dict[str, list[schedule.Piece]], spans: "pl.DataFrame"
) -> Iterator[Finding]:
    """All spans by (due, component name, c)."""
    import numpy as np
    import polars as pl

    lengths = _lengths(spans)
    when, begun = np.zeros_like(lengths), np.zeros_like(lengths)
    for name in pieces:
        mine = np.flatnonzero((spans["component"] == name).to_numpy())
        begun[mine] = _begins(lengths[mine])
        when[mine] = schedule.due(pieces[name], begun[mine])
    ordered = (
        spans.select("component", due=pl.Series(when), begun=pl.Series(begun))
        .with_row_index("row")
        .sort("due", "component", "begun")
    )
    wrong = np.flatnonzero(ordered["row"].to_numpy() != np.arange(spans.height))
    if len(wrong):
        what = f"{len(wrong):,} spans are not where (due, component) puts them"
        yield Finding("order", SPANS, f"row {int(wrong[0])}", what)


def _deviation(
    mix: Opened, pieces: dict[str, list[schedule.Piece]], spans: "pl.DataFrame"
) -> Iterator[Finding]:
    """The largest deviation, and the bound that was proven for its component."""
    said = mix.content["largest_deviation"]
    lengths = _lengths(spans)
    names = spans["component"].to_numpy()
    value, name, at = schedule.largest_deviation(pieces, names, lengths)
    by_source = mix.content["layout"] == "by-source"
    whole, longest = int(lengths.sum()), int(lengths.max(initial=0))
    limit = schedule.bound(pieces, name, longest, whole, by_source)
    found = {"value": _text(value), "component": name, "at": at, "bound": _text(limit)}
    if not pieces:  # an empty mix may name any component
        found["component"] = said["component"]
    if said != found:
        what = f"the manifest says {_shown(said)}, the spans give {_shown(found)}"
        yield Finding("count", MANIFEST, "content.largest_deviation", what)


def _text(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _shown(facts: Mapping[str, Any]) -> str:
    return "{value} of {component} at {at}, bound {bound}".format_map(facts)
