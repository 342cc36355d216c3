"""
Turn a sweep and its controls into arms with names that people can read.

Lines of `[sweep]` multiply; the names say what varies, and nothing else:

    >>> from fractions import Fraction as F
    >>> labels("share", [F(0), F(1, 20), F(1, 4)])
    ['00pct', '05pct', '25pct']
    >>> labels("share", [F(1, 40), F(1, 3)]), labels("tokens", [F(10**9), F(1_500_000)])
    (['02-5pct', '1of3'], ['1b', '1500k'])
    >>> labels("seed", [F(1), F(2)]), labels("where", ["a < 1", "a < 2"])
    (['seed1', 'seed2'], ['where1', 'where2'])
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

from curate.recipe.model import Arm, Component
from curate.recipe.read import MAX_WHOLE, Table, amount, nearest

SWEPT = ("share", "tokens", "documents", "bytes", "epochs", "max_epochs", "where")
MAX_ARMS = 1_000
Axis = tuple[str, str, tuple[Any, ...]]
"""(table, key, values): `toxic.share = [...]`, `mix.tokens = [...]`; the seed's table is ""."""


def axes(sweep: Table, components: Sequence[str]) -> list[Axis]:
    """The lines of `[sweep]`, checked value by value."""
    found: list[Axis] = []
    for outer in sweep:
        if outer == "seed":
            found.append(("", "seed", _values(sweep, "seed")))
            continue
        if outer != "mix" and outer not in components:
            guess = nearest(outer, [*components, "mix", "seed"])
            raise sweep.error(
                outer,
                "names no component",
                f"Did you mean {guess}?" if guess else f"Components: {', '.join(components)}.",
            )
        if not isinstance(sweep.data[outer], Mapping):
            raise sweep.error(
                outer, "must name what varies", f"For example: {outer}.share = [0, 0.05, 0.10]"
            )
        inner = sweep.table(outer)
        inner.only(*(("tokens",) if outer == "mix" else SWEPT))
        found += [(outer, key, _values(inner, key)) for key in inner]
    return found


def _values(table: Table, key: str) -> tuple[Any, ...]:
    values = table.data[key]
    if not isinstance(values, list) or not values:
        raise table.error(key, f"must be a list of values, not {values!r}")
    seen: list[Any] = []
    for value in values:
        try:
            exact = value if key == "where" or value == "rest" else amount(value)
        except ValueError as error:
            raise table.error(key, str(error)) from None
        if key == "seed" and (exact.denominator != 1 or exact > MAX_WHOLE):
            raise table.error(key, f"must be whole numbers below 2^53, not {value}")
        if exact in seen:
            raise table.error(
                key, f"has {value!r} twice", "Every value makes an arm; leave one out."
            )
        seen.append(exact)
    return tuple(values)


def labels(key: str, values: Sequence[Any]) -> list[str]:
    """One readable name per value of a line of the sweep."""
    if key == "where":
        return [f"where{number}" for number, _ in enumerate(values, 1)]
    if key == "seed":
        return [f"seed{value}" for value in values]
    exact = [None if value == "rest" else amount(value) for value in values]
    if key == "share":
        wholes = [int(value * 100) for value in exact if value is not None]
        width = max(2, *(len(str(whole)) for whole in wholes), 0)
        return ["rest" if v is None else _percent(v, width) for v in exact]
    prefix, suffix = {
        "tokens": ("", ""),
        "documents": ("", "docs"),
        "bytes": ("", "bytes"),
        "epochs": ("", "epochs"),
        "max_epochs": ("max", ""),
    }[key]
    return [f"{prefix}{_count(value or Fraction(0))}{suffix}" for value in exact]


def _percent(share: Fraction, width: int) -> str:
    percent = share * 100
    whole, rest = divmod(percent, 1)
    if not rest:
        return f"{whole:0{width}d}pct"
    decimals = _decimals(rest)
    if not decimals:
        return f"{share.numerator}of{share.denominator}"
    return f"{whole:0{width}d}-{decimals}pct"


def _decimals(rest: Fraction) -> str:
    """Digits after the point of a fraction below 1, or "" if they never end (within nine)."""
    scaled = rest * 10**9
    return "" if scaled.denominator != 1 else f"{int(scaled):09d}".rstrip("0")


def _count(value: Fraction) -> str:
    if value.denominator != 1:
        whole, rest = divmod(value, 1)
        decimals = _decimals(rest)
        return f"{whole}-{decimals}" if decimals else f"{value.numerator}of{value.denominator}"
    count = int(value)
    for unit, letter in ((10**9, "b"), (10**6, "m"), (10**3, "k")):
        if count and count % unit == 0:
            return f"{count // unit}{letter}"
    return str(count)


def points(found: Sequence[Axis]) -> list[tuple[str, dict[tuple[str, str], Any]]]:
    """Every combination of the sweep's values: (arm name, {(table, key): value})."""
    named = [axis for axis in found if axis[1] != "seed"]
    result = []
    for choice in product(*(range(len(values)) for _, _, values in found)):
        words, seed, values_of = [], "", {}
        for (table, key, values), number in zip(found, choice, strict=True):
            word = labels(key, values)[number]
            values_of[table, key] = values[number]
            if key == "seed":
                seed = word
            else:
                words.append(f"{table}-{word}" if len(named) > 1 else word)
        result.append(("-".join([*words, seed] if seed else words), values_of))
    return result


def controls(table: Table, arms: Sequence[Arm], component: Callable[[str], Component]) -> list[Arm]:
    """The arms of `[control.NAME]`; `component` gives a component as the recipe declares it."""
    found: list[Arm] = []
    for name, control in table.named("control"):
        control.only("like", "replace")
        like = control.string("like") if "like" in control else ""
        bases = [arm for arm in arms if like in (arm.name, _without_seed(arm))]
        if not bases:
            names = [arm.name for arm in arms]
            guess = nearest(like, names)
            raise control.error(
                "like" if like else "",
                f"names no arm: {like!r}",
                f'Did you mean "{guess}"?' if guess else f"Arms: {', '.join(names)}.",
            )
        found += [_control(name, control, base, component) for base in bases]
    return found


def _without_seed(arm: Arm) -> str:
    suffix = f"seed{arm.seed}"
    return arm.name.removesuffix(suffix).removesuffix("-") if "seed" in arm.settings else arm.name


def _control(name: str, control: Table, base: Arm, component: Callable[[str], Component]) -> Arm:
    replace = control.table("replace")
    if not replace.data:
        raise control.error("", "replaces nothing", 'Add: replace = { toxic = "clean" }')
    present = {c.name: c for c in base.components}
    chosen: dict[str, Component] = {}
    for original in replace:
        if original not in present:
            guess = nearest(original, list(present))
            raise replace.error(
                original,
                f"is no component of {base.name or 'the mix'}",
                f"Did you mean {guess}?" * bool(guess),
            )
        substitute = replace.string(original)
        if substitute == original or substitute in replace.data:
            raise replace.error(
                original, f"cannot give way to {substitute}, which is replaced itself"
            )
        chosen[original] = present[substitute] if substitute in present else component(substitute)
    seed = f"-seed{base.seed}" if "seed" in base.settings else ""
    settings = {"like": base.name, **{f"replace.{o}": c.name for o, c in chosen.items()}}
    if seed:
        settings["seed"] = str(base.seed)
    return Arm(name + seed, settings, base.seed, base.total, base.components, base.name, chosen)
