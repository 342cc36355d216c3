"""Where spans went, by hand: two places that were filled, one that was closed up."""

from typing import Any

import polars as pl
import pytest

from curate.audit.opened import open_mix
from curate.audit.patched import Places, check, closed_tokens, places_of
from tests.audit.conftest import Mix
from tests.audit.damage import manifest_of
from tests.tiny_files import seal

# Two shards of 20 and 10 tokens. Places: [4, 9) of b, [12, 20) of a, and [3, 7) of b in shard 1.
SPANS = pl.DataFrame(
    {
        "component": ["a", "b", "b", "a", "a", "a", "a", "b", "a"],
        "shard": [0, 0, 0, 0, 0, 0, 1, 1, 1],
        "start": [0, 4, 7, 9, 12, 15, 0, 3, 7],
        "n_tokens": [4, 3, 2, 3, 3, 5, 3, 4, 3],
    }
)


def place(shard: int, start: int, n_tokens: int, component: str, **more: Any) -> dict[str, Any]:
    """An entry of a log."""
    told = {"mode": "refill", "shard": shard, "start": start, "n_tokens": n_tokens}
    return {**told, "component": component, **more}


LOG = [place(0, 4, 5, "b"), place(0, 12, 8, "a"), place(1, 3, 4, "b")]


def rows(table: pl.DataFrame) -> list[tuple[Any, ...]]:
    """component, n_tokens."""
    return table.select("component", "n_tokens").rows()


def test_spans_know_the_place_they_lie_in() -> None:
    """Numbered in order of the stream; -1 elsewhere."""
    assert [-1, 0, 0, -1, 1, 1, -1, 2, -1] == Places([20, 10], LOG).of(SPANS).tolist()
    assert [-1] * 9 == Places([20, 10], []).of(SPANS).tolist()


def test_a_span_that_sticks_out_of_a_place_is_not_in_it() -> None:
    """[7, 9) is beyond the end of [4, 8)."""
    assert [-1, 0, -1] == Places([20, 10], [place(0, 4, 4, "b")]).of(SPANS.head(3)).tolist()


def test_the_order_of_the_log_does_not_matter() -> None:
    """Places are numbered by where they are."""
    assert (
        Places([20, 10], LOG[::-1]).of(SPANS).tolist() == Places([20, 10], LOG).of(SPANS).tolist()
    )


def test_filled_places_count_as_one_span() -> None:
    """Five of b, eight of a, four of b."""
    whole = [("a", 4), ("b", 5), ("a", 3), ("a", 8), ("a", 3), ("b", 4), ("a", 3)]

    assert whole == rows(Places([20, 10], LOG).collapsed(SPANS))
    assert whole == rows(Places([20, 10], LOG).planned(SPANS))


def test_what_was_closed_in_a_filled_place_is_put_back() -> None:
    """The first place had seven tokens, of which two are gone."""
    log = [place(0, 4, 5, "b", closed=2)]
    now = rows(Places([20, 10], log).collapsed(SPANS))

    assert ("b", 7) == now[1]
    assert 32 == sum(n for _, n in now)
    first = Places([20, 10], [place(0, 0, 4, "a", closed=2)]).collapsed(SPANS)
    assert [("a", 6), ("b", 3)] == rows(first)[:2]


def test_what_was_closed_up_comes_back_as_a_blank() -> None:
    """Six tokens of b stood before token 9 of the first shard, two of a at the very end."""
    log = [
        place(0, 9, 6, "b", mode="close"),
        place(1, 10, 2, "a", mode="close"),
    ]
    planned = rows(Places([20, 10], log).planned(SPANS))

    assert [("a", 4), ("b", 3), ("b", 2), ("b", 6), ("a", 3)] == planned[:5]
    assert ("a", 2) == planned[-1]
    assert rows(SPANS) == rows(Places([20, 10], log).collapsed(SPANS))


def test_a_place_all_of_which_was_closed_is_a_blank_too() -> None:
    """Filled once, then closed up: nothing is left of it but its tokens."""
    planned = rows(Places([20, 10], [place(0, 4, 0, "b", closed=5)]).planned(SPANS))

    assert [("a", 4), ("b", 5), ("b", 3)] == planned[:3]


def test_a_place_within_another_says_nothing_itself() -> None:
    """The outer one speaks for both."""
    inner = [place(0, 7, 2, "b", within=True), place(0, 9, 6, "b", mode="close", within=True)]

    assert [-1] * 9 == Places([20, 10], inner).of(SPANS).tolist()
    assert rows(SPANS) == rows(Places([20, 10], inner).planned(SPANS))


def test_a_place_beyond_the_last_shard_is_at_the_end() -> None:
    """All of the last shard was closed up."""
    assert 30 == Places([20, 10], []).token(place(2, 0, 3, "a", mode="close"))
    assert 23 == Places([20, 10], []).token(place(1, 3, 3, "a"))


@pytest.mark.parametrize(("mode", "closed"), [("close", True), ("refill", False)])
def test_only_what_was_closed_up_shortens(make: Mix, mode: str, closed: bool) -> None:
    """Tokens by component; of other components and of filled places none."""
    folder = make()
    facts = manifest_of(folder)
    facts["origin"]["removals"] = [
        place(0, 0, 9, "clean", mode=mode),
        place(0, 0, 5, "clean", mode=mode),
        place(0, 0, 4, "toxic", mode="refill"),
    ]
    seal(folder, facts)
    mix = open_mix(folder)

    assert closed == places_of(mix).closed
    assert (14 * closed, 0) == (closed_tokens(mix, "clean"), closed_tokens(mix, "toxic"))


@pytest.mark.parametrize("which", ["first", "last", "both"])
def test_what_came_and_went_again_is_not_looked_for(make: Mix, which: str) -> None:
    """A place of two spans, of which one or both were filled again: its own words are old."""
    folder = make(shard_tokens=10_000)
    spans = open_mix(folder).spans().collect()
    at = spans["component"].to_list().index("clean", 1)
    pair = spans[at : at + 2].with_columns(component=pl.lit("clean"))
    one, two = pair.to_dicts()
    start, n_tokens = one["start"], one["n_tokens"] + two["n_tokens"]
    outer = place(0, start, n_tokens, "clean", added=[])
    part = {"first": pair[:1], "last": pair[1:], "both": pair}[which]
    came = [
        {"key": row["key"].hex(), "epoch": row["epoch"], "n_tokens": row["n_tokens"]}
        for row in part.to_dicts()
    ]
    inner = place(0, part["start"][0], int(part["n_tokens"].sum()), "clean", added=came)
    rows = spans.with_columns(
        component=pl.when(pl.int_range(pl.len()).is_in([at, at + 1]))
        .then(pl.lit("clean"))
        .otherwise("component")
    )
    mix = open_mix(folder)

    assert [] == list(check(mix, rows, Places([spans["n_tokens"].sum()], [outer, inner])))
    assert 1 == len(list(check(mix, rows, Places([spans["n_tokens"].sum()], [outer]))))
