"""
Turn budgets and shares into whole numbers of tokens, exactly.

All shares are solved together as fractions; each amount is rounded half-even once:

    >>> import dataclasses
    >>> clean = Component("clean", "c4", budget=Budget("tokens", Fraction(20_099_137_536)))
    >>> toxic = Component("toxic", "pol", budget=Budget("share", Fraction(1, 4)), of="clean")
    >>> solve([clean, toxic], total=None, known={"clean": 20_099_137_536})
    {'clean': 20099137536, 'toxic': 5024784384}
    >>> of_total = dataclasses.replace(toxic, of="total")
    >>> solve([clean, of_total], total=None, known={"clean": 20_099_137_536})
    {'clean': 20099137536, 'toxic': 6699712512}

Every component's tokens are affine in the total W: a + b·W. A fixed W is put in; otherwise
W = Σa / (1 − Σb).
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from curate.mixing.problem import Edit, Problem, grouped
from curate.recipe.model import TOTAL, Budget, Component


def rounded(value: Fraction) -> int:
    """Nearest whole number, halves to even."""
    return round(value)


def solve(
    components: Sequence[Component], total: int | None, known: Mapping[str, int]
) -> dict[str, int]:
    """
    Tokens of every component.

    `known` gives those of components with an absolute budget (tokens, documents, bytes, epochs).
    Raises Problem if the budgets contradict one another.
    """
    by_name = {c.name: c for c in components}
    affine: dict[str, tuple[Fraction, Fraction]] = {}

    def terms(component: Component) -> tuple[Fraction, Fraction]:
        name, budget = component.name, component.budget
        if name not in affine:
            if name in known:
                affine[name] = (Fraction(known[name]), Fraction(0))
            elif budget is None or budget.kind != "share":
                raise ValueError(f"component {name} has no amount")
            elif component.of == TOTAL:
                affine[name] = (Fraction(0), budget.amount)
            else:
                a, b = terms(by_name[component.of])
                affine[name] = (budget.amount * a, budget.amount * b)
        return affine[name]

    parts = [c for c in components if c.budget is not None and c.budget.kind != "rest"]
    fixed = sum((terms(c)[0] for c in parts), Fraction(0))
    slope = sum((terms(c)[1] for c in parts), Fraction(0))
    whole = _total(components, total, fixed, slope, known)
    exact = {c.name: affine[c.name][0] + affine[c.name][1] * whole for c in parts}
    tokens = {name: rounded(value) for name, value in exact.items()}
    rest = [c.name for c in components if c not in parts]
    if rest:
        tokens[rest[0]] = int(whole) - sum(tokens.values())
        if tokens[rest[0]] < 0:
            raise _too_much(sum(tokens.values()) - tokens[rest[0]], int(whole))
    elif total is not None:
        _absorb(tokens, exact, known, total - sum(tokens.values()))
    return {c.name: tokens[c.name] for c in components}


def _total(
    components: Sequence[Component],
    total: int | None,
    fixed: Fraction,
    slope: Fraction,
    known: Mapping[str, int],
) -> Fraction:
    if total is None:
        if slope >= 1:
            raise Problem(
                f"shares of the total add up to {_percent(slope)}, absolute budgets come on top",
                ["They must leave room for the absolute ones: less than 100 %."],
                _halved_shares(components),
            )
        return fixed / (1 - slope)
    whole = Fraction(total)
    asked = fixed + slope * whole
    if any(c.budget == Budget("rest") for c in components):
        if asked > whole:
            raise _too_much(rounded(asked), total)
    elif asked != whole:
        edits = [
            Edit(f"component.{c.name}", "share", '"rest"')
            for c in components
            if c.budget is not None and c.budget.kind == "share" and c.of == TOTAL
        ]
        if slope < 1 and (fixed / (1 - slope)).denominator == 1:
            edits.append(Edit("mix", "tokens", grouped(int(fixed / (1 - slope)))))
        raise Problem(
            f"the components add up to {rounded(asked):,} tokens, the mix is to have {total:,}",
            [
                f"absolute budgets {rounded(fixed):,} tokens",
                f"shares {_percent(slope)} of the total, {rounded(slope * whole):,} tokens",
            ],
            edits,
        )
    return whole


def _too_much(asked: int, total: int) -> Problem:
    return Problem(
        f"the components ask for {asked:,} tokens, the mix is to have {total:,}",
        [f"{asked - total:,} tokens too many: nothing remains for the rest"],
        [Edit("mix", "tokens", grouped(asked))],
    )


def _absorb(
    tokens: dict[str, int], exact: Mapping[str, Fraction], known: Mapping[str, int], missing: int
) -> None:
    """
    Give the tokens that rounding lost (or won) to the shares whose rounding erred most.

    The total is a request too: three thirds of 100 are 33, 33 and 34 (ties by name).
    """
    step = 1 if missing > 0 else -1
    movable = [name for name in tokens if name not in known]
    movable.sort(key=lambda name: (step * (tokens[name] - exact[name]), name))
    for name in movable[: abs(missing)]:
        tokens[name] += step


def _halved_shares(components: Sequence[Component]) -> list[Edit]:
    return [
        Edit(f"component.{c.name}", "of", f'"{other.name}"')
        for c in components
        if c.budget is not None and c.budget.kind == "share" and c.of == TOTAL
        for other in components
        if other.budget is not None
        and other.budget.kind in ("tokens", "documents", "bytes", "epochs")
    ]


def _percent(share: Fraction) -> str:
    percent = share * 100
    return f"{percent} %" if percent.denominator == 1 else f"{float(percent):.4g} %"
