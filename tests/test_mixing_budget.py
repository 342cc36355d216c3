"""Shares become whole tokens: solved together, exactly, rounded once."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.mixing.budget import rounded, solve
from curate.mixing.cut import tail
from curate.mixing.problem import Problem
from curate.recipe.model import Budget, Component


def absolute(name: str, tokens: int) -> Component:
    """A component of so many tokens."""
    return Component(name, name, budget=Budget("tokens", Fraction(tokens)))


def share(name: str, amount: str, of: str = "total") -> Component:
    """A component that is a share of another, or of the total."""
    return Component(name, name, budget=Budget("share", Fraction(amount)), of=of)


def rest(name: str) -> Component:
    """What the others leave."""
    return Component(name, name, budget=Budget("rest"))


def test_share_of_another_component() -> None:
    """25 % of clean is a quarter of clean."""
    components = [absolute("clean", 1000), share("toxic", "1/4", "clean")]

    assert {"clean": 1000, "toxic": 250} == solve(components, None, {"clean": 1000})


def test_share_of_the_total() -> None:
    """25 % of the total is a third of the rest: 1000 · (1/4) / (3/4) = 333⅓."""
    components = [absolute("clean", 1000), share("toxic", "1/4")]

    assert {"clean": 1000, "toxic": 333} == solve(components, None, {"clean": 1000})


def test_shares_of_the_total_and_of_one_another_are_solved_together() -> None:
    """W = 600 + W/5 + (W/5)/2 gives W = 857⅐: a = 171.43, b = 85.71."""
    components = [absolute("clean", 600), share("a", "1/5"), share("b", "1/2", "a")]

    assert {"clean": 600, "a": 171, "b": 86} == solve(components, None, {"clean": 600})


def test_rest_takes_what_the_rounded_others_leave() -> None:
    """A third of 100 is 33; the rest is 67."""
    components = [rest("clean"), share("toxic", "1/3")]

    assert {"clean": 67, "toxic": 33} == solve(components, 100, {})


def test_three_thirds_of_a_hundred_make_a_hundred() -> None:
    """The token that rounding lost goes to the first of those that lost most."""
    components = [share(name, "1/3") for name in "abc"]

    assert {"a": 34, "b": 33, "c": 33} == solve(components, 100, {})


def test_halves_round_to_even() -> None:
    """2.5 becomes 2 and 3.5 becomes 4."""
    assert (2, 4) == (rounded(Fraction(5, 2)), rounded(Fraction(7, 2)))


def test_a_fixed_total_with_absolute_and_rest() -> None:
    """Total-constant: clean gives way to what is added."""
    components = [rest("clean"), absolute("toxic", 300)]

    assert {"clean": 700, "toxic": 300} == solve(components, 1000, {"toxic": 300})


@pytest.mark.parametrize(
    ("components", "total", "known", "message"),
    [
        (
            [absolute("clean", 10), share("a", "3/5"), share("b", "2/5")],
            None,
            {"clean": 10},
            "shares of the total add up to 100 %, absolute budgets come on top",
        ),
        (
            [share("a", "1/2"), share("b", "1/4")],
            100,
            {},
            "the components add up to 75 tokens, the mix is to have 100",
        ),
        (
            [rest("a"), absolute("b", 150)],
            100,
            {"b": 150},
            "the components ask for 150 tokens, the mix is to have 100",
        ),
    ],
)
def test_contradictions_do_the_arithmetic(
    components: list[Component], total: int | None, known: dict[str, int], message: str
) -> None:
    """Budgets that contradict one another are refused with their sums."""
    with pytest.raises(Problem, match=message):
        solve(components, total, known)


shares = st.lists(
    st.fractions(min_value=0, max_value=Fraction(1, 6), max_denominator=1000), max_size=5
)


@given(shares, st.integers(0, 10**12))
def test_amounts_are_the_exact_ones_rounded_once(amounts: list[Fraction], anchor: int) -> None:
    """Every share of the total is within half a token of what the exact total says."""
    names = [f"s{n}" for n in range(len(amounts))]
    components = [absolute("clean", anchor)]
    components += [share(n, str(a)) for n, a in zip(names, amounts, strict=True)]
    total = Fraction(anchor) / (1 - sum(amounts, Fraction(0)))
    solved = solve(components, None, {"clean": anchor})

    assert [round(a * total) for a in amounts] == [solved[n] for n in names]


@given(shares, st.integers(0, 10**12))
def test_a_fixed_total_is_met(amounts: list[Fraction], total: int) -> None:
    """With a fixed total the amounts add up to it, and none is off by a whole token or more."""
    amounts = [*amounts, 1 - sum(amounts, Fraction(0))]
    components = [share(f"s{n}", str(a)) for n, a in enumerate(amounts)]
    solved = solve(components, total, {})

    assert total == sum(solved.values())
    assert all(abs(solved[f"s{n}"] - a * total) < 1 for n, a in enumerate(amounts))


@given(st.integers(2, 12), st.integers(3, 40), st.data())
def test_a_cut_keeps_every_token(previous: int, last: int, data: st.DataObject) -> None:
    """The two last spans sum to what is wanted, and neither is longer than its document."""
    remains = data.draw(st.integers(1, last - 1))
    x, y = tail(previous, last, remains, 3)

    assert previous + remains == x + y
    assert 0 <= x <= previous
    assert 1 <= y <= last
    if previous >= 5 and last >= 3:
        assert x >= 3
        assert y >= 3


@pytest.mark.parametrize(
    ("previous", "last", "remains", "expected"),
    [
        (100, 50, 3, (100, 3)),  # two ids and EOS: enough
        (100, 50, 2, (99, 3)),  # one id is missing
        (100, 50, 1, (98, 3)),  # two are missing
        (4, 50, 1, (0, 5)),  # giving two would leave the document before one id
        (2, 2, 1, (2, 1)),  # nothing fits: the tokens are shared
        (None, 50, 1, (0, 1)),  # a budget of one token
    ],
)
def test_cuts_by_hand(
    previous: int | None, last: int, remains: int, expected: tuple[int, int]
) -> None:
    """A cut that would leave less than two content ids takes from the document before."""
    assert expected == tail(previous, last, remains, 3)
