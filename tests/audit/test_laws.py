"""Mixes of every shape are whole; schedules agree with a second reading in exact fractions."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.audit import schedule
from curate.audit.findings import Finding
from curate.audit.rank import ranks
from curate.audit.verify import verify
from tests import recount, tiny_mix
from tests.audit.conftest import Mix, spans_of
from tests.audit.damage import everything
from tests.tiny_files import seal, write_spans
from tests.tiny_manifest import Document, Span, due, frac, lines
from tests.tiny_manifest import deviation as by_hand
from tests.tiny_mix import pools_of, some_documents, streams, weave, write

HALVES = [(Fraction(1, 2), Fraction(1)), (Fraction(1, 2), Fraction(3))]
SHAPES: list[dict[str, Any]] = [
    {},
    {"by_source": True},
    {"bos": True},
    {"bos": True, "dtype": "uint32", "how": "symbolic"},
    {"phases": {"toxic": HALVES}},
    {"phases": {"toxic": [(Fraction(3, 4), Fraction(1)), (Fraction(1, 4), Fraction(0))]}},
    {"budgets": {"clean": 400, "toxic": 0}},
]


@pytest.mark.parametrize("shape", SHAPES)
def test_mixes_of_every_shape_are_whole(tmp_path: Path, shape: dict[str, Any]) -> None:
    """Interleaved or not, with phases, with a start token, with an empty component."""
    folder = write(tmp_path / "t" / "1", documents=some_documents(), shard_tokens=200, **shape)

    report = verify(folder, read_data=True, semantic=True, retokenize=None)
    assert () == report.findings
    assert [] == recount.recount(folder)


@pytest.mark.parametrize(
    ("shape", "change", "kind"),
    [
        ({"by_source": True}, lambda spans: spans[::-1], "order"),
        ({"phases": {"toxic": HALVES}}, None, "order"),
        ({"bos": True}, lambda spans: [_without_bos(spans[0]), *spans[1:]], "eos"),
        ({"bos": True}, lambda spans: [_bos_inside(spans[0]), *spans[1:]], "eos"),
    ],
)
def test_every_shape_has_laws_of_its_own(
    tmp_path: Path, shape: dict[str, Any], change: Any, kind: str
) -> None:
    """The order is that of the layout and the phases; a start token starts and nothing else."""
    documents = some_documents()
    taken = streams(documents, {"clean": 400, "toxic": 100}, bos=shape.get("bos", False))
    spans = weave(taken)  # as if there were no phases
    if shape.get("by_source"):
        spans = [span for name in sorted(taken) for span in taken[name]]
    folder = write_spans(
        tmp_path / "t" / "1",
        change(spans) if change else spans,
        pools=pools_of(documents),
        shard_tokens=200,
        **shape,
    )

    assert kind in everything(folder)


def _without_bos(span: Span) -> Span:
    return Span(span.document, (33, *span.ids[1:]))


def _bos_inside(span: Span) -> Span:
    return Span(span.document, (*span.ids[:3], 257, *span.ids[4:]))


LENGTHS = st.lists(st.integers(2, 40), min_size=1, max_size=12)
DENSITIES = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=2, max_size=3)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, list[int]], dict[str, Any]]:
    """Span lengths of three components, and phases of one that the others can make up for."""
    lengths = {name: draw(LENGTHS) for name in "abc"}
    rows = draw(DENSITIES)
    whole = sum(stretch for stretch, _ in rows)
    phases = {"b": [(Fraction(s, whole), Fraction(d)) for s, d in rows]}
    if not any(d for _, d in rows):
        return lengths, {}
    line = lines({n: sum(v) for n, v in lengths.items()}, phases)
    fits = all(low <= high for pieces in line.values() for _, low, _, high in pieces)
    return lengths, phases if fits else {}


@given(world=worlds())
def test_schedules_agree_with_fractions(world: tuple[dict[str, list[int]], dict[str, Any]]) -> None:
    """Due times, deviation and bound: vectors with corrected floats against fractions by hand."""
    lengths, phases = world
    totals = {name: sum(values) for name, values in lengths.items()}
    ours, slow = schedule.schedules(totals, phases), lines(totals, phases)
    spans = []
    for name, values in lengths.items():
        begins = np.cumsum([0, *values[:-1]], dtype=np.int64)
        times = [due(slow[name], int(c)) for c in begins]
        document = Document(name, "", name)
        placed = zip(times, values, strict=True)
        spans += [(t, name, Span(document, (0,) * n)) for t, n in placed]

        assert times == schedule.due(ours[name], begins).tolist()
    spans.sort(key=lambda item: item[:2])
    stream = [span for _, _, span in spans]
    names = np.array([span.document.component for span in stream], dtype=object)
    sizes = np.array([len(span.ids) for span in stream], dtype=np.int64)
    value, name, at = schedule.largest_deviation(ours, names, sizes)
    bound = schedule.bound(ours, name, int(sizes.max()), int(sizes.sum()), False)
    said = by_hand(stream, totals, phases, False)

    assert said == {"value": frac(value), "component": name, "at": at, "bound": frac(bound)}
    assert value <= bound


@given(
    part=st.integers(1, 2**40),
    more=st.integers(0, 2**40),
    places=st.lists(st.integers(0, 2**40), min_size=1, max_size=20),
)
def test_due_times_are_exact_beyond_what_floats_hold(
    part: int, more: int, places: list[int]
) -> None:
    """⌊c·W/T⌋ for mixes of up to two trillion tokens."""
    positions = sorted(p % part for p in places)
    line = schedule.schedules({"a": part, "b": more}, {})["a"]
    found = schedule.due(line, np.array(positions, dtype=np.int64)).tolist()

    assert [c * (part + more) // part for c in positions] == found


@given(
    key=st.binary(min_size=16, max_size=16),
    seed=st.integers(0, 2**53 - 1),
    epoch=st.integers(0, 9),
)
def test_ranks_agree_with_plain_integers(key: bytes, seed: int, epoch: int) -> None:
    """numpy's arithmetic modulo 2^64 against Python's."""
    words = np.frombuffer(key, dtype="<u8").reshape(1, 2)

    assert tiny_mix.rank(key, seed, epoch) == int(ranks(words, seed=seed, epoch=epoch)[0])


def test_a_wrong_clause_is_named_with_the_first_row_that_breaks_it(tmp_path: Path) -> None:
    """`toxicity < 0.03` over pages with 0.00, 0.01, …: nine of twelve break it."""
    folder = write(
        tmp_path / "t" / "1",
        documents=some_documents(),
        where={"clean": "language == 'en' and toxicity < 0.03 and n_tokens > 5"},
    )
    report = verify(folder, semantic=True)
    [found] = [f for f in report.findings if f.kind == "where"]

    assert "9 spans of component clean do not satisfy 'toxicity < 0.03'" == found.what
    assert any("'n_tokens > 5'" in line for line in report.not_checked)


@pytest.mark.parametrize(
    ("where", "n"),
    [
        ("toxicity >= 0.05", 5),
        ("not toxicity < 0.05", 5),
        ("0.02 <= toxicity < 0.05", 9),
        ("toxicity in [0.01, 0.02]", 10),
        ("toxicity not in [0.01]", 1),
        ("toxicity is null", 12),
        ("toxicity is not null", 0),
        ("toxicity == 0.05 or language != 'en'", 11),
        ("n_bytes >= 30.5", None),
        ("timestamp > 1550000000", 1),
        ("board is null", 0),
        ("board == 'pol'", 12),
    ],
)
def test_clauses_mean_what_recipes_mean(tmp_path: Path, where: str, n: int | None) -> None:
    """Of twelve pages with toxicity 0.00 to 0.11, so many break the clause."""
    documents = [d for d in some_documents() if d.component == "clean"]
    folder = write(tmp_path / "t" / "1", documents=documents, where={"clean": where})
    n = sum(len(d.text) < 31 for d in documents) if n is None else n
    found = [f for f in verify(folder, semantic=True).findings if f.kind == "where"]

    assert n == sum(int(f.what.split(" ")[0]) for f in found)


def test_a_mix_with_what_its_hold_out_holds_is_found(tmp_path: Path) -> None:
    """A thread may not be held out and mixed."""
    held = write(
        tmp_path / "tiny-holdout" / "1", name="tiny-holdout", documents=some_documents()[3:4]
    )
    folder = write(tmp_path / "tiny" / "1", documents=some_documents(), version="1")
    facts = json.loads((folder / "manifest.json").read_bytes())
    facts["origin"]["sources"]["pages"]["n_held_out"] = 0
    facts["origin"]["sources"]["board"].update(n_held_out=1, n_read=9)
    seal(folder, facts)

    assert held.is_dir()
    assert {"holdout"} == everything(folder)


def test_findings_read_as_lines() -> None:
    """Kind, place, what."""
    found = Finding("size", "shards/a.npy", "", "3 bytes, but its counts imply 4")

    assert "size      shards/a.npy: 3 bytes, but its counts imply 4" == found.render()


def refilled(folder: Path, **change: Any) -> dict[str, Any]:
    """A manifest whose log says that the second clean span came for one that went."""
    row = [r for r in spans_of(folder) if r["component"] == "clean"][1]
    entry = {
        "version": "1.0.0",
        "reason": "test",
        "mode": "refill",
        "component": "clean",
        "epoch": 0,
        "shard": row["shard"],
        "start": row["start"],
        "n_tokens": row["n_tokens"],
        "removed": "0" * 32,
        "added": [{"key": row["key"].hex(), "epoch": 0, "n_tokens": row["n_tokens"]}],
    }
    facts: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    facts["origin"]["removals"] = [{**entry, **change}]
    return facts


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({}, None),
        ({"added": []}, "what is there is not what the log says came"),
        ({"component": "toxic"}, "what is there is not what the log says came"),
        ({"n_tokens": 7}, "a span lies across the edge of this place"),
        ({"start": 1}, "a span lies across the edge of this place"),
    ],
)
def test_the_log_of_removals_is_held_against_the_spans(
    make: Mix, change: dict[str, Any], what: str | None
) -> None:
    """Who came, for which component, and from where to where: one word off is found."""
    folder = make()
    seal(folder, refilled(folder, **change))
    found = [f.what for f in verify(folder, semantic=True).findings if f.kind == "removal"]

    assert ([] if what is None else [what]) == found


def test_due_times_are_exact_where_fractions_are_beyond_64_bits() -> None:
    """A stretch that begins at 7 + 3/(2^62 - 57), not at 7: at every second token of 100."""
    start = 7 + Fraction(3, 2**62 - 57)
    piece = schedule.Piece(start, start + 200, Fraction(0), Fraction(100))
    positions = [0, 1, 50, 98]
    late = schedule.Piece(
        8 - Fraction(1, 2**62), 208 - Fraction(1, 2**62), Fraction(0), Fraction(100)
    )

    assert [7, 9, 107, 203] == schedule.due([piece], np.array(positions)).tolist()
    assert [7, 9, 107, 203] == schedule.due([late], np.array(positions)).tolist()
