"""The laws of mixing, each over random worlds: DESIGN §2.4–2.7, docs/format.md §4."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from curate.errors import InfeasibleError
from tests import mixing_oracle as oracle
from tests.mixing_world import HEAD, SWEEP, Doc, Planned, Sources, key, plan

FAST = settings(max_examples=25 * int(os.environ.get("CURATE_TEST_SCALE", "1")))


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one example: hypothesis runs many in one test."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def planned(text: str, sources: Sources, *, bos: bool = False) -> Planned:
    """A plan whose files are read and gone; an impossible one is no example."""
    with folder() as place:
        try:
            return plan(place, text, sources, bos=bos)
        except InfeasibleError:
            # A hold-out took what the arms would need: another world, please.
            reject()


scores = st.sampled_from([0.0, 0.25, 0.5, 0.75, None])


@st.composite
def documents(draw: st.DrawFn, source: str, *, least: int = 2, groups: bool = False) -> list[Doc]:
    """Documents of a source: distinct ids, any sizes, some without a score."""
    sizes = draw(st.lists(st.integers(least, 60), min_size=60, max_size=90))
    return [
        Doc(
            f"{source}:{n}",
            size,
            draw(scores),
            group=f"{source}-group-{draw(st.integers(0, 20))}" if groups else "",
        )
        for n, size in enumerate(sizes)
    ]


@st.composite
def split(draw: st.DrawFn, rows: list[Doc]) -> list[list[Doc]]:
    """The same documents in other parts and another order."""
    mixed = draw(st.permutations(rows))
    at = draw(st.integers(0, len(mixed)))
    return [mixed[:at], mixed[at:]]


@st.composite
def worlds(draw: st.DrawFn, **options: Any) -> dict[str, list[list[Doc]]]:
    """A web and a pol source, in one or two parts."""
    return {source: draw(split(draw(documents(source, **options)))) for source in ("web", "pol")}


def rows_of(world: Sources, source: str) -> list[Doc]:
    """All rows of a source."""
    return [row for part in world[source] for row in part]


def eligible(world: Sources, source: str) -> list[Doc]:
    """What the sweep's components may take: its only clause is about web."""
    return [
        row
        for row in rows_of(world, source)
        if source == "pol" or (row.toxicity is not None and row.toxicity < 0.5)
    ]


def sweep(tokens: int, more: str = "") -> str:
    """The sweep with another amount of clean."""
    return SWEEP.replace("1_000", str(tokens)) + more


def enough(world: Sources, tokens: int) -> None:
    """Only worlds that can give the sweep."""
    assume(sum(row.n_tokens for row in eligible(world, "web")) >= tokens)
    assume(sum(row.n_tokens for row in eligible(world, "pol")) >= round(Fraction(tokens, 4)))


@FAST
@given(worlds(), st.integers(1, 900))
def test_the_whole_plan_is_what_a_slow_reading_of_the_format_gives(
    world: Sources, tokens: int
) -> None:
    """Every span of every arm, in order, equals that of the oracle."""
    enough(world, tokens)
    made = planned(sweep(tokens), world)
    clean = oracle.cut(oracle.stream(eligible(world, "web"), 7, 1), tokens)
    for name, share in (("00pct", 0), ("05pct", 5), ("10pct", 10), ("25pct", 25)):
        toxic = oracle.cut(
            oracle.stream(eligible(world, "pol"), 7, 1), round(Fraction(tokens * share, 100))
        )
        parts = {"clean": clean, "toxic": toxic}
        expected = oracle.interleaved({k: v for k, v in parts.items() if v})
        value, at, component = oracle.largest_deviation(expected)

        assert [(c, s.id, s.epoch, s.n_tokens, s.cut) for c, s in expected] == [
            (s.component, s.id, s.epoch, s.n_tokens, s.cut) for s in made.spans[name]
        ]
        assert {
            "value": f"{value.numerator}/{value.denominator}",
            "at": at,
            "component": component,
        } == {k: v for k, v in made.arm(name)["largest_deviation"].items() if k != "bound"}


@FAST
@given(worlds(), st.integers(1, 900), st.booleans())
def test_exact(world: Sources, tokens: int, bos: bool) -> None:
    """Delivered tokens equal the request to the token, and cut documents are named."""
    enough(world, tokens)
    made = planned(sweep(tokens), world, bos=bos)
    for arm in made.facts["arms"]:
        for component in arm["components"]:
            spans = made.of(arm["name"], component["name"])

            assert component["requested"] == sum(span.n_tokens for span in spans)
            assert 0 == component["residual"]
            assert [(key(span.id).hex(), span.n_tokens) for span in spans if span.cut] == [
                (cut["key"], cut["n_tokens"]) for cut in component["cut"]
            ]
            assert len(component["cut"]) <= 2


@FAST
@given(worlds(least=8), st.integers(100, 900))
def test_a_cut_leaves_two_content_ids(world: Sources, tokens: int) -> None:
    """No span of documents long enough is shorter than two ids and EOS."""
    enough(world, tokens)
    made = planned(sweep(tokens), world)

    assert all(s.n_tokens >= 3 for s in made.of("25pct", "clean") + made.of("25pct", "toxic"))


@FAST
@given(worlds(), st.integers(1, 900))
def test_nested(world: Sources, tokens: int) -> None:
    """
    Along a share axis, all spans of a smaller arm but its last two are the first of the larger;
    those two are prefixes of documents that the larger arm has, or would have next.
    """
    enough(world, tokens)
    made = planned(sweep(tokens), world)
    whole = {row.id: row.n_tokens for row in rows_of(world, "pol")}
    order = [row.id for _, row in oracle.stream(eligible(world, "pol"), 7, 1)]
    for small, large in (("00pct", "05pct"), ("05pct", "10pct"), ("10pct", "25pct")):
        less = [(s.id, s.n_tokens) for s in made.of(small, "toxic")]
        more = [(s.id, s.n_tokens) for s in made.of(large, "toxic")]
        n_same = max(0, len(less) - 2)

        assert less[:n_same] == more[:n_same]
        assert all(name in order[: n_same + 3] for name, _ in less[n_same:])
        assert all(size <= whole[name] for name, size in less[n_same:])


@FAST
@given(worlds(), st.integers(1, 900))
def test_constant(world: Sources, tokens: int) -> None:
    """Every arm of a clean-constant sweep has the same clean spans; an extra goes on after them."""
    enough(world, tokens + round(Fraction(tokens, 4)) + 120)
    extra = '[control.extra]\nlike = "25pct"\nreplace = { toxic = "clean" }\n'
    made = planned(sweep(tokens, extra), world)
    clean = [(s.id, s.n_tokens) for s in made.of("00pct", "clean")]

    for arm in ("05pct", "10pct", "25pct", "extra"):
        assert clean == [(s.id, s.n_tokens) for s in made.of(arm, "clean")]
    added = [s.id for s in made.of("extra", "clean-for-toxic")]
    order = [row.id for _, row in oracle.stream(eligible(world, "web"), 7, 1)]
    first = order.index(clean[-1][0]) + 1
    assert set(added) <= set(order[first : first + len(added) + 1])
    assert sum(s.n_tokens for s in made.of("25pct", "toxic")) == sum(
        s.n_tokens for s in made.of("extra", "clean-for-toxic")
    )


@FAST
@given(worlds(), st.integers(50, 900))
def test_fair(world: Sources, tokens: int) -> None:
    """After every span no component is further off its share than the bound says."""
    enough(world, tokens)
    made = planned(sweep(tokens), world)
    for arm in made.facts["arms"]:
        spans = made.spans[arm["name"]]
        whole = sum(s.n_tokens for s in spans)
        names = {s.component for s in spans}
        longest = max(s.n_tokens for s in spans)
        p = {n: Fraction(sum(s.n_tokens for s in spans if s.component == n), whole) for n in names}
        end, own = 0, dict.fromkeys(names, 0)
        for span in spans:
            end += span.n_tokens
            own[span.component] += span.n_tokens
            for name in names:
                off = p[name] * end - own[name]
                assert -(1 - p[name]) * (longest + p[name]) <= off
                assert off <= p[name] * ((len(names) - 1) * longest + 1)
        worst = arm["largest_deviation"]
        assert Fraction(worst["value"]) <= Fraction(worst["bound"])


@FAST
@given(worlds(), st.integers(1, 700), st.data())
def test_local(world: Sources, tokens: int, data: st.DataObject) -> None:
    """Without some web documents the others keep their order, and toxic its spans."""
    enough(world, tokens)
    gone = data.draw(st.sets(st.sampled_from([row.id for row in rows_of(world, "web")])))
    less = {**world, "web": [[r for r in part if r.id not in gone] for part in world["web"]]}
    enough(less, tokens)
    before, after = planned(sweep(tokens), world), planned(sweep(tokens), less)
    kept = [s.id for s in before.of("25pct", "clean") if s.id not in gone]
    now = [s.id for s in after.of("25pct", "clean")]

    # All but the last two, which may be cut or left out.
    assert [i for i in kept[:-2] if i in now] == kept[:-2]
    assert sorted(kept[:-2], key=now.index) == kept[:-2]
    toxic = [[(s.id, s.n_tokens) for s in made.of("25pct", "toxic")] for made in (before, after)]
    assert toxic[0] == toxic[1]


@FAST
@given(worlds(groups=True), st.integers(1, 500), st.data())
def test_blind(world: Sources, tokens: int, data: st.DataObject) -> None:
    """Other parts and another order of rows give the same spans and the same numbers."""
    held = "[holdout]\ntokens = 100\n"
    enough(world, tokens + 400)
    again = {source: data.draw(split(rows_of(world, source))) for source in world}
    first, second = planned(sweep(tokens, held), world), planned(sweep(tokens, held), again)

    assert first.facts == second.facts
    assert first.spans == second.spans
    assert first.held_out == second.held_out


@FAST
@given(worlds(groups=True), st.integers(1, 500))
def test_held_out(world: Sources, tokens: int) -> None:
    """No group is both held out and mixed; whole groups are held out until the budget is met."""
    enough(world, tokens + 400)
    made = planned(sweep(tokens, "[holdout]\ntokens = 100\n"), world)
    group = {row.id: row.group for source in world for row in rows_of(world, source)}
    held = {group[span.id] for span in made.held_out}
    mixed = {group[span.id] for spans in made.spans.values() for span in spans}
    expected = set()
    for source in world:
        expected |= oracle.held_groups(rows_of(world, source), 100, 7)

    assert not held & mixed
    assert expected == held
    assert {row.id for s in world for row in rows_of(world, s) if row.group in held} == {
        span.id for span in made.held_out
    }
    for component in made.facts["holdout"]["components"]:
        assert component["n_tokens"] >= 100


versions = st.tuples(
    st.integers(0, 15), st.integers(1, 3), st.sampled_from([None, 1, 2]), st.sampled_from("ab")
)


@FAST
@given(st.lists(versions, min_size=30, max_size=60), st.data())
def test_one_version_of_every_document(
    rows: list[tuple[int, int, int | None, str]], data: st.DataObject
) -> None:
    """Of rows with equal key the newest is read: most posts, latest, smallest digest."""
    web = [
        Doc(f"web:{n}", 4 + posts + len(text), 0.0, "", posts, when, f"{n}{text}")
        for n, posts, when, text in rows
    ]
    alive = {row.id: row for row in oracle.newest(web)}
    text = HEAD.split("[source.pol]")[0] + '[component.clean]\nsource = "web"\nepochs = 1\n'
    made = planned(text, {"web": data.draw(split(web))})

    assert {row.id: row.n_tokens for row in alive.values()} == {
        span.id: span.n_tokens for span in made.spans[""]
    }
    assert len(web) - len(alive) == made.facts["sources"]["web"]["n_superseded"]


@FAST
@given(worlds(groups=True), st.integers(1, 500), st.data())
def test_complete(world: Sources, tokens: int, data: st.DataObject) -> None:
    """Every document read is superseded, empty, held out, dropped, unused or used: once."""
    enough(world, tokens + 400)
    more = [Doc(f"web:{n}", 1, 0.0) for n in range(1000, 1000 + data.draw(st.integers(0, 3)))]
    again = [row for row in rows_of(world, "web") if data.draw(st.booleans())]
    full = {**world, "web": [*world["web"], more, again]}
    made = planned(sweep(tokens, "[holdout]\ntokens = 100\n"), full)
    assert len(again) == made.facts["sources"]["web"]["n_superseded"]
    assert len(more) == made.facts["sources"]["web"]["n_empty"]
    for arm in made.facts["arms"]:
        for component in arm["components"]:
            source = made.facts["sources"][component["source"]]
            assert source["n_read"] == (
                source["n_superseded"]
                + source["n_empty"]
                + source["n_held_out"]
                + sum(d["n_documents"] for d in component["dropped"])
                + component["n_unused"]
                + component["n_documents"]
            )
        for name, counts in arm["sources"].items():
            source = made.facts["sources"][name]
            assert source["n_read"] == (
                source["n_superseded"]
                + source["n_empty"]
                + source["n_held_out"]
                + sum(d["n_documents"] for d in counts["dropped"])
                + counts["n_unused"]
                + counts["n_used"]
            )
