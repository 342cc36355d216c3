"""Order, schedules, deviation and shards: exact at any size, against fractions."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from curate.mixing.deviation import Meter
from curate.mixing.draw import SPAN
from curate.mixing.emit import Sharder
from curate.mixing.gather import row_type
from curate.mixing.holdout import Chooser
from curate.mixing.order import interleave
from curate.mixing.phases import floor_line, schedules
from curate.mixing.problem import Problem
from curate.mixing.scratch import Buckets, Rows, Scratch, Tape, joined, picked
from tests import mixing_oracle as oracle
from tests.mixing_oracle import Taken


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


large = st.integers(1, 10**12)
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=40)
Phases = tuple[tuple[Fraction, Fraction], ...]


@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=20),
    large,
    large,
    st.integers(-(10**12), 10**12),
)
def test_floor_line_is_exact(x: list[int], over: int, under: int, start: int) -> None:
    """⌊x·a/b + c⌋ of whole numbers up to 10^12, where a product needs 80 bits."""
    slope, offset = Fraction(over, under), Fraction(start, under)
    expected = [(value * over + start) // under for value in x]
    assume(max(abs(e) for e in expected) < 2**50)

    assert expected == floor_line(np.array(x, np.int64), slope, offset).tolist()


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5), st.integers(2**62, 2**70))
def test_floor_line_is_exact_for_huge_denominators(x: list[int], under: int) -> None:
    """Beyond 61 bits plain integers take over."""
    slope = Fraction(under - 1, under)

    assert [value * (under - 1) // under for value in x] == floor_line(
        np.array(x, np.int64), slope, Fraction(0)
    ).tolist()


@st.composite
def phases(draw: st.DrawFn) -> Phases:
    """Two to four stretches; some of density 0."""
    parts = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    densities = draw(st.lists(st.integers(0, 3), min_size=len(parts), max_size=len(parts)))
    assume(any(densities))
    return tuple(
        (Fraction(part, sum(parts)), Fraction(density))
        for part, density in zip(parts, densities, strict=True)
    )


def feed(spans: list[int], number: int, step: int) -> Iterator[Rows]:
    """Spans of a component, `step` at a time."""
    for first in range(0, len(spans), step):
        rows = np.zeros(len(spans[first : first + step]), SPAN)
        rows["component"], rows["n_tokens"] = number, spans[first : first + step]
        rows["row"] = np.arange(first, first + len(rows))
        yield rows


def schedule_value(rows: Phases, tokens: int, whole: int, end: Fraction) -> Fraction:
    """F(E) of a component with phases, from the words of docs/format.md §4."""
    total = sum(stretch * density for stretch, density in rows)
    at, mass = Fraction(0), Fraction(0)
    for stretch, density in rows:
        mass += max(Fraction(0), min(stretch, end / whole - at)) * density
        at += stretch
    return tokens * mass / total


few = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@given(few, few, phases(), st.integers(1, 7))
def test_phases_against_fractions(
    clean: list[int], toxic: list[int], rows: Phases, step: int
) -> None:
    """Order and deviation with phases are those of exact schedules; the bound holds."""
    totals = {"clean": sum(clean), "toxic": sum(toxic)}
    whole = sum(totals.values())
    try:
        lines = schedules(totals, {"toxic": rows})
    except Problem:
        assume(False)

    def f(name: str, end: Fraction) -> Fraction:
        late = schedule_value(rows, totals["toxic"], whole, end)
        return late if name == "toxic" else end - late

    def due(name: str, own: int) -> int:
        # The last whole E with F(E) ≤ c, found by looking: ⌊sup⌋ of the real ones is the same.
        return max(e for e in range(whole) if f(name, Fraction(e)) <= own)

    placed = []
    for name, spans in (("clean", clean), ("toxic", toxic)):
        own = 0
        for number, size in enumerate(spans):
            placed.append((due(name, own), name, own, number, size))
            own += size
    expected = [(name, number, size) for _, name, _, number, size in sorted(placed)]
    chunks = list(
        interleave([(lines["clean"], feed(clean, 0, step)), (lines["toxic"], feed(toxic, 1, step))])
    )
    mixed = np.concatenate(chunks)
    meter = Meter(["clean", "toxic"], lines)
    for chunk in chunks:
        meter.add(chunk["component"], chunk["n_tokens"])
    end, own, worst = 0, {"clean": 0, "toxic": 0}, (Fraction(0), 0, "clean")
    for name, _, size in expected:
        end += size
        own[name] += size
        for other in ("clean", "toxic"):
            off = abs(f(other, Fraction(end)) - own[other])
            worst = (off, end, other) if off > worst[0] else worst
    found = meter.result(max(*clean, *toxic))

    assert expected == [
        (("clean", "toxic")[c], r, n)
        for c, r, n in zip(mixed["component"], mixed["row"], mixed["n_tokens"], strict=True)
    ]
    assert (f"{worst[0].numerator}/{worst[0].denominator}", worst[1], worst[2]) == (
        found["value"],
        found["at"],
        found["component"],
    )
    assert worst[0] <= Fraction(found["bound"])


@given(st.lists(sizes, min_size=2, max_size=5), st.integers(1, 9))
def test_many_components_against_fractions(parts: list[list[int]], step: int) -> None:
    """Any number of components, fed in any pieces, come in the order of the format."""
    names = "abcde"[: len(parts)]
    lines = schedules({n: sum(p) for n, p in zip(names, parts, strict=True)}, {})
    feeds = [
        (lines[n], feed(p, i, step)) for i, (n, p) in enumerate(zip(names, parts, strict=True))
    ]
    mixed = np.concatenate(list(interleave(feeds)))
    expected = oracle.interleaved(
        {
            n: [Taken(str(i), 0, s, False) for i, s in enumerate(p)]
            for n, p in zip(names, parts, strict=True)
        }
    )
    meter = Meter(names, lines)
    meter.add(mixed["component"], mixed["n_tokens"])
    value, at, component = oracle.largest_deviation(expected)

    assert [(n, int(s.id), s.n_tokens) for n, s in expected] == [
        (names[c], r, n)
        for c, r, n in zip(mixed["component"], mixed["row"], mixed["n_tokens"], strict=True)
    ]
    assert (f"{value.numerator}/{value.denominator}", at, component) == tuple(
        meter.result(60)[field] for field in ("value", "at", "component")
    )


def test_deviation_of_a_trillion_tokens() -> None:
    """Numerators far beyond 64 bits: four documents of half a trillion tokens."""
    half = 500_000_000_003
    lines = schedules({"a": 2 * half, "b": 2 * half}, {})
    meter = Meter(["a", "b"], lines)
    meter.add(np.array([0, 1, 0, 1]), np.array([half, half, half, half]))

    assert (f"{half}/2", half, "a") == tuple(
        meter.result(half)[field] for field in ("value", "at", "component")
    )


def test_three_components_by_hand() -> None:
    """
    1/2, 1/4, 1/4 in spans of 10: due times are 0, 20, 40, 60 for a and 0, 40 for b and c.

    After a: a is 5 ahead (10 − 5). After a b: b is 5 ahead. After a b c: a is 5 behind. Then a.
    """
    parts = {"a": [10] * 4, "b": [10] * 2, "c": [10] * 2}
    lines = schedules({name: sum(p) for name, p in parts.items()}, {})
    feeds = [(lines[n], feed(p, i, 2)) for i, (n, p) in enumerate(parts.items())]
    mixed = np.concatenate(list(interleave(feeds)))
    meter = Meter(["a", "b", "c"], lines)
    meter.add(mixed["component"], mixed["n_tokens"])

    assert [0, 1, 2, 0, 0, 1, 2, 0] == mixed["component"].tolist()
    assert {"value": "5/1", "component": "a", "at": 10} == {
        k: v for k, v in meter.result(10).items() if k != "bound"
    }


@given(
    st.lists(st.integers(1, 20), max_size=40),
    st.integers(20, 50),
    st.sets(st.integers(0, 40), max_size=3),
    st.integers(1, 9),
)
def test_shards_are_filled_in_order(
    spans: list[int], room: int, breaks: set[int], step: int
) -> None:
    """A span goes to the current shard unless that exceeds it or a shard must begin there."""
    expected, shard, filled = [], 0, 0
    for number, size in enumerate(spans):
        if filled and (filled + size > room or number in breaks):
            shard, filled = shard + 1, 0
        filled += size
        expected.append(shard)
    sharder = Sharder(room, list(breaks))
    found = [
        int(n)
        for first in range(0, len(spans), step)
        for n in sharder.place(np.array(spans[first : first + step]))
    ]

    assert expected == found


def test_a_span_longer_than_a_shard_is_refused() -> None:
    """Nothing is placed where it does not fit."""
    with pytest.raises(ValueError, match="a span of 11 tokens, shards of 10"):
        Sharder(10).place(np.array([11]))


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 7), st.integers(0, 1000))
def test_tapes_find_their_places(values: list[int], step: int, memory: int) -> None:
    """A tape gives back rows and sums, whatever of it lies on disk."""
    kind = np.dtype([("n", "<u4"), ("m", "<u2")])
    rows = np.zeros(len(values), kind)
    rows["n"] = values
    total = int(rows["n"].sum())
    with pytest.MonkeyPatch.context() as patch, _folder() as folder:
        patch.setattr("curate.mixing.scratch.MEMORY", memory)
        patch.setattr("curate.mixing.scratch.CHUNK", step)
        tape = Tape(Scratch(folder / "work"), "t", kind, ("n",))
        for first in range(0, len(values), 5):
            tape.append(rows[first : first + 5])

        assert values == [v for chunk in tape.chunks(0, len(tape)) for v in chunk["n"].tolist()]
        for place in range(len(values) + 1):
            assert sum(values[:place]) == tape.sum_before("n", place)
        for goal in range(total + 1):
            least = next(p for p in range(len(values) + 1) if sum(values[:p]) >= goal)
            assert least == tape.reach("n", goal)
        assert len(values) == tape.reach("n", total + 1)


def test_buckets_keep_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a bucket come back in the order in which they went in."""
    monkeypatch.setattr("curate.mixing.scratch.MEMORY", 500)
    kind = np.dtype([("n", "<u4")])
    scratch = Scratch(tmp_path / "work")
    buckets = Buckets(scratch, "b", kind, 3)
    rows = np.arange(300, dtype=np.uint32).view(kind)
    for first in range(0, 300, 70):
        part = rows[first : first + 70]
        buckets.scatter(part["n"] % 3, part)

    assert [list(range(n, 300, 3)) for n in range(3)] == [
        buckets.read(n)["n"].tolist() for n in range(3)
    ]
    assert (tmp_path / "work").exists()
    scratch.close()
    assert not (tmp_path / "work").exists()


def test_records_are_picked_and_joined_as_numpy_would() -> None:
    """Moving rows as plain bytes changes nothing about them."""
    kind = np.dtype([("a", "<u8"), ("b", "u1"), ("c", "<u4")])
    rows = np.zeros(5, kind)
    rows["a"], rows["b"], rows["c"] = range(5), range(5, 10), range(10, 15)
    mask = np.array([True, False, True, False, True])

    assert rows[mask].tolist() == picked(rows, mask).tolist()
    assert rows[[3, 1]].tolist() == picked(rows, np.array([3, 1])).tolist()
    assert np.concatenate([rows, rows]).tolist() == joined([rows, rows]).tolist()


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 30)), min_size=1), st.integers(1, 9))
def test_the_holdout_does_not_depend_on_the_order_of_arrival(
    rows: list[tuple[int, int]], step: int
) -> None:
    """The groups are those of one look at all rows sorted, however they come."""
    kind = row_type(n_selections=0, pieces=False, groups=True)
    table = np.zeros(len(rows), kind)
    table["ga"] = [group for group, _ in rows]
    table["n_tokens"] = [size for _, size in rows]
    tokens = sum(size for _, size in rows) // 2 + 1
    chosen = []
    for part in (len(rows), step):
        chooser = Chooser((0,), tokens=tokens, seed=3)
        for first in range(0, len(rows), part):
            chooser.add(table[first : first + part])
        chosen.append(sorted(chooser.chosen().a.tolist()))
    order = sorted(
        {group for group, _ in rows},
        key=lambda g: oracle.rank(g.to_bytes(16, "little"), 3, 0, "curate-holdout-1"),
    )
    expected: list[int] = []
    while sum(size for group, size in rows if group in expected) < tokens:
        expected.append(order[len(expected)])

    assert [sorted(expected)] * 2 == chosen
