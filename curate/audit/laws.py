"""
Turn the spans of a mix into the places where they break the laws of mixing (docs/format.md §4).

Rank, order, deviation and cut are derived again here. Positions are compared in whole numbers:

    >>> import numpy as np
    >>> due(np.array([0, 3, 7]), part=9, whole=90).tolist()
    [0, 30, 70]
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

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
    yield from _overlap(spans)
    for name in names:
        yield from _ranks(mix, spans, name)
    if mix.content["layout"] == "by-source":
        yield from _by_source(spans)
    else:
        yield from _interleaved(spans, names)
        yield from _deviation(mix, spans, names)


def due(positions: "Positions", part: int, whole: int) -> "Positions":
    """⌊c · whole / part⌋ for positions c < part, exact for parts and wholes below 2^53."""
    import numpy as np

    # A float guesses the quotient to within one; the remainder, exact modulo 2^64, corrects it.
    guess = np.floor(positions.astype(np.longdouble) * whole / part).astype(np.int64)
    with np.errstate(over="ignore"):
        rest = positions * np.int64(whole) - guess * np.int64(part)
    fixed: Positions = guess + (rest >= part).astype(np.int64) - (rest < 0).astype(np.int64)
    return fixed


def _begins(lengths: "Positions") -> "Positions":
    import numpy as np

    begins: Positions = np.cumsum(lengths) - lengths
    return begins


def _lengths(spans: "pl.DataFrame") -> "Positions":
    import numpy as np

    lengths: Positions = spans["n_tokens"].to_numpy().astype(np.int64)
    return lengths


def _overlap(spans: "pl.DataFrame") -> Iterator[Finding]:
    """A document belongs to one component, and is in it once an epoch."""
    import polars as pl

    shared = (
        spans.group_by("key").agg(pl.col("component").n_unique()).filter(pl.col("component") > 1)
    )
    if shared.height:
        what = f"{shared.height:,} documents are in more than one component"
        yield Finding("order", SPANS, f"key {min(shared['key']).hex()}", what)
    twice = spans.select("component", "epoch", "key").is_duplicated()
    if twice.any():
        row = int(twice.arg_true()[0])
        what = f"{int(twice.sum()):,} spans of documents that are in an epoch more than once"
        yield Finding("order", SPANS, f"row {row}", what)


def _ranks(mix: Opened, spans: "pl.DataFrame", name: str) -> Iterator[Finding]:
    """Within a component: (epoch, rank, key) ascending; what is cut stands last; whole epochs."""
    import numpy as np
    import polars as pl

    from curate.document import key_words

    mine = spans.with_row_index("row").filter(pl.col("component") == name)
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
    """Every epoch but the last holds every eligible document."""
    facts = mix.origin["components"].get(name)
    counts = mine.group_by("epoch").len().sort("epoch").rows()
    if facts is None:
        return
    for number, (epoch, n) in enumerate(counts):
        full = facts["eligible"]["n_documents"]
        if epoch != number or (n != full if number < len(counts) - 1 else n > full):
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


def _interleaved(spans: "pl.DataFrame", names: list[str]) -> Iterator[Finding]:
    """All spans by (due, component name, c)."""
    import numpy as np
    import polars as pl

    lengths = _lengths(spans)
    whole = int(lengths.sum())
    when, begun = np.zeros_like(lengths), np.zeros_like(lengths)
    for name in names:
        mine = np.flatnonzero((spans["component"] == name).to_numpy())
        begun[mine] = _begins(lengths[mine])
        when[mine] = due(begun[mine], int(lengths[mine].sum()) or 1, whole)
    ordered = (
        spans.select("component", due=pl.Series(when), begun=pl.Series(begun))
        .with_row_index("row")
        .sort("due", "component", "begun")
    )
    wrong = np.flatnonzero(ordered["row"].to_numpy() != np.arange(spans.height))
    if len(wrong):
        what = f"{len(wrong):,} spans are not where (due, component) puts them"
        yield Finding("order", SPANS, f"row {int(wrong[0])}", what)


def _deviation(mix: Opened, spans: "pl.DataFrame", names: list[str]) -> Iterator[Finding]:
    """The largest |p·E − e| over components and span ends, as an exact fraction."""
    said = mix.content["largest_deviation"]
    value, name, at = largest_deviation(spans, names)
    found = f"{value.numerator}/{value.denominator}"
    if (said["value"], said["component"], said["at"]) != (found, name, at):
        what = (
            f"the manifest says {said['value']} of {said['component']} at {said['at']:,}, "
            f"the spans give {found} of {name} at {at:,}"
        )
        yield Finding("count", MANIFEST, "content.largest_deviation", what)


def largest_deviation(spans: "pl.DataFrame", names: list[str]) -> tuple[Fraction, str, int]:
    """Value, component and token of the largest deviation: first in the stream, then by name."""
    import numpy as np

    lengths = _lengths(spans)
    ends = np.cumsum(lengths)
    whole = int(lengths.sum()) or 1
    best: list[tuple[int, int, str]] = []
    for name in names:
        own = np.cumsum(np.where((spans["component"] == name).to_numpy(), lengths, 0))
        total = int(own[-1]) if len(own) else 0
        # Floats only say which places are worth an exact look: they are right to far below 1/8.
        rough = np.abs(ends.astype(np.longdouble) * total / whole - own)
        for at in np.flatnonzero(rough >= rough.max(initial=0) - 0.125).tolist():
            exact = abs(total * int(ends[at]) - int(own[at]) * whole)
            best = [min([*best, (-exact, int(ends[at]), name)])]
    value, at, name = best[0] if best else (0, 0, "")
    return Fraction(-value, whole), name, at
