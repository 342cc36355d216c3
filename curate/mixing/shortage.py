"""
Turn amounts and pools into the shortages there are, with the lines that might mend them.

    pol is too small for 25 % of clean
      eligible 4,211,004,928 tokens, needed 5,024,784,384 (1.19 epochs)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

from curate.mixing.amounts import Amount
from curate.mixing.census import Census
from curate.mixing.problem import Edit, Problem, grouped
from curate.mixing.uses import Use
from curate.recipe.model import TOTAL, Recipe
from curate.recipe.read import amount as exact_amount


@dataclass(frozen=True)
class Short:
    """A pool that is asked for more than its epochs give, by one or more uses of an arm."""

    arm: str
    use: Use
    unit: str
    eligible: int
    needed: int
    most: int


def check(
    recipe: Recipe,
    all_uses: Mapping[str, list[Use]],
    amounts: Mapping[str, Mapping[str, Amount]],
    counted: Census,
) -> None:
    """Problem if a pool cannot give what the uses of an arm ask of it."""
    found = []
    for arm, arm_uses in all_uses.items():
        asked: dict[tuple[Any, str], int] = {}
        for use in arm_uses:
            amount = amounts[arm][use.name]
            key = (use.pool, amount.unit)
            asked[key] = asked.get(key, 0) + amount.requested
            eligible = counted.pools[use.pool].of(amount.unit)
            most = floor(use.component.epoch_limit * eligible)
            if asked[key] > most:
                found.append(Short(arm, use, amount.unit, eligible, asked[key], most))
    if found:
        raise problem(recipe, found)


def problem(recipe: Recipe, found: list[Short]) -> Problem:
    """The worst shortage, and lines that might mend all of them."""
    worst = max(found, key=lambda s: Fraction(s.needed, max(1, s.most)))
    one_each = {short.use.name: short for short in sorted(found, key=lambda s: s.needed)}
    details = [_line(worst)]
    details += [
        f"{short.use.name}: {_line(short)}"
        for name, short in one_each.items()
        if name != worst.use.name
    ]
    return Problem(
        f"{worst.use.component.source} is too small for {_phrase(recipe, worst)}",
        details,
        list(_edits(recipe, found, worst)),
    )


def after_cut(use: Use, requested: int) -> Problem:
    """What goes on after a cut document found a few tokens less than were counted."""
    limit = ceil(use.component.epoch_limit)
    return Problem(
        f"{use.component.source} is too small for {use.name} after what is cut off before it",
        [f"needed {requested:,} tokens"],
        [Edit(f"component.{use.component.name}", "max_epochs", str(limit + 1))],
    )


def _line(short: Short) -> str:
    line = f"eligible {short.eligible:,} {short.unit}, needed {short.needed:,}"
    return f"{line} ({short.needed / short.eligible:.2f} epochs)" if short.eligible else line


def _phrase(recipe: Recipe, short: Short) -> str:
    told = short.use.slot.budget
    if short.use.stands_for:
        return f"{short.use.name}, in place of {short.use.slot.name}"
    if told is not None and told.kind == "share":
        of = "the total" if short.use.slot.of == TOTAL else short.use.slot.of
        return f"{percent(told.amount)} of {of}"
    if told is not None and told.kind == "epochs":
        return f"{told.amount} epochs"
    return f"{short.needed:,} {short.unit}"


def percent(share: Fraction) -> str:
    """A share as people say it: `25 %`, `2.5 %`, or `1/3` where decimals never end."""
    value = share * 100
    if value.denominator == 1:
        return f"{value} %"
    text = f"{float(value):.9g}"
    return f"{text} %" if Fraction(text) == value else str(share)


def _edits(recipe: Recipe, found: list[Short], worst: Short) -> list[Edit]:
    edits = []
    name = worst.use.component.name
    if worst.eligible:
        epochs = max(
            ceil(Fraction(s.needed, s.eligible))
            for s in found
            if s.use.component.name == name and s.eligible
        )
        edits.append(Edit(f"component.{name}", "max_epochs", str(epochs)))
    scale = min(Fraction(short.most, short.needed) for short in found)
    if scale:
        if recipe.mix.tokens is not None:
            edits += _scaled("mix", "tokens", recipe.mix.tokens, scale)
        for component in recipe.components.values():
            told = component.budget
            if told is not None and told.kind in ("tokens", "documents", "bytes"):
                table = f"component.{component.name}"
                edits += _scaled(table, told.kind, int(told.amount), scale)
    edits += _fewer_points(recipe, {short.arm for short in found})
    told = worst.use.slot.budget
    if told is not None and told.kind == "share" and scale:
        share = Fraction(floor(told.amount * scale * 10**4), 10**4)
        if share:
            table = f"component.{worst.use.slot.name}"
            edits.append(Edit(table, "share", _decimal(share)))
    return edits


def _scaled(table: str, key: str, value: int, scale: Fraction) -> list[Edit]:
    """The largest whole number that fits, and one less for where rounding was unkind."""
    most = floor(value * scale)
    return [Edit(table, key, grouped(count)) for count in (most, most - 1) if count > 0]


def _fewer_points(recipe: Recipe, short: set[str]) -> list[Edit]:
    """A line of the sweep without the values all of whose arms are short."""
    edits = []
    for line, values in recipe.sweep.items():
        kept = []
        for value in values:
            text = value if isinstance(value, str) else str(Fraction(value))
            arms = {
                arm.name
                for arm in recipe.arms()
                if not arm.replace and arm.settings.get(line) == text
            }
            controls = {arm.name for arm in recipe.arms() if arm.replace and arm.like in arms}
            if not (arms | controls) & short:
                kept.append(value)
        if kept and len(kept) < len(values):
            edits.append(Edit("sweep", line, f"[{', '.join(toml(value) for value in kept)}]"))
    return edits


def toml(value: Any) -> str:
    """A value of a sweep as TOML."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    exact = exact_amount(value)
    return grouped(int(exact)) if exact.denominator == 1 else _decimal(exact)


def _decimal(value: Fraction) -> str:
    """A fraction as an exact decimal, or as text where its decimals never end."""
    scaled = value * 10**30
    if scaled.denominator != 1:
        return f'"{value}"'
    whole, rest = divmod(int(scaled), 10**30)
    return f"{whole}.{f'{rest:030d}'.rstrip('0') or '0'}"
