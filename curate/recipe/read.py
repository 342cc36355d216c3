"""
Turn TOML text into tables that check what is asked of them and say where a mistake stands.

Decimals stay exact, and a wrong value is answered with its file, line, key, reason and way out:

    >>> data = parse("[component.clean]\\ntokens = 1_000\\nshare = 0.1\\n", Path("r.toml"))
    >>> table = Table(data, Path("r.toml"), "[component.clean]\\ntokens = 1_000\\nshare = 0.1\\n")
    >>> clean = table.table("component").table("clean")
    >>> clean.exact("share")
    Fraction(1, 10)
    >>> clean.only("tokens", "share", "source", "of")
    >>> clean.only("tokens", "shares")
    Traceback (most recent call last):
      ...
    curate.errors.RecipeError: r.toml:3: component.clean.share is not a known key
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from curate.errors import RecipeError

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
MAX_WHOLE = 2**53 - 1
"""Largest count: canonical JSON has no larger whole number."""
_DECIMAL = re.compile(r"[+-]?[\d_]{1,40}(\.[\d_]{1,40})?([eE][+-]?\d{1,3})?")
_AMOUNT = re.compile(r"\s*(\d{1,18})\s*/\s*(\d{1,18})\s*|\s*(\d{1,18}(?:\.\d{1,18})?)\s*(%?)\s*")


def _exact(text: str) -> Fraction:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text} is not a decimal of at most 40 digits")
    return Fraction(text.replace("_", ""))


def parse(text: str, path: Path) -> dict[str, Any]:
    """TOML with decimals as Fractions; RecipeError with file and line where it is not TOML."""
    try:
        return tomllib.loads(text, parse_float=_exact)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = f":{place.group(1)}" if place else ""
        hint = "A key may stand once in a table." if "overwrite" in str(error) else ""
        raise RecipeError(f"{path}{line}: not TOML: {error}", hint=hint) from None
    except (ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else str(error)
        raise RecipeError(f"{path}: {reason}") from None


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name a person most likely meant, or ""."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.5)), "")


def amount(value: object) -> Fraction:
    """An exact amount from a whole number, a decimal, "1/3" or "10 %"; ValueError otherwise."""
    if isinstance(value, int | Fraction) and not isinstance(value, bool):
        exact = Fraction(value)
    elif isinstance(value, str) and (match := _AMOUNT.fullmatch(value)):
        over, under, decimal, percent = match.groups()
        if under is not None and int(under) == 0:
            raise ValueError(f"{value!r} divides by zero")
        exact = Fraction(int(over), int(under)) if over else Fraction(decimal)
        exact = exact / 100 if percent else exact
    else:
        raise ValueError(f'must be a number such as 3, 0.05, "1/3" or "10 %", not {value!r}')
    if exact < 0:
        raise ValueError(f"must not be negative, not {value}")
    return exact


class Table:
    """A table of a recipe, with the path of keys that leads to it."""

    def __init__(
        self, data: Mapping[str, Any], path: Path, text: str, keys: tuple[str, ...] = ()
    ) -> None:
        self.data = data
        self.path = path
        self.text = text
        self.keys = keys

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def error(self, key: str, reason: str, hint: str = "") -> RecipeError:
        """The error about `key` (or, if empty, about the table itself)."""
        keys = (*self.keys, key) if key else self.keys
        line = _line_of(self.text, keys) if keys else None
        place = f"{self.path}:{line}" if line else str(self.path)
        return RecipeError(f"{place}: {'.'.join(keys) or 'the recipe'} {reason}", hint=hint)

    def only(self, *known: str) -> None:
        """Refuse every other key, naming the nearest known one."""
        for key in self.data:
            if key not in known:
                guess = nearest(key, known)
                hint = f"Did you mean {guess}?" if guess else f"Known: {', '.join(known)}."
                raise self.error(key, "is not a known key", hint)

    def table(self, key: str) -> "Table":
        """A table below this one; an absent one is empty."""
        value = self.data.get(key, {})
        if not isinstance(value, Mapping):
            raise self.error(
                key, f"must be a table, not {value!r}", f"Write [{key}] above its keys."
            )
        return Table(value, self.path, self.text, (*self.keys, key))

    def named(self, key: str) -> Iterator[tuple[str, "Table"]]:
        """The named tables `[key.NAME]` in order; names are lower case letters, digits, `-`."""
        outer = self.table(key)
        for name in outer:
            outer.check_name(name)
            yield name, outer.table(name)

    def check_name(self, name: str) -> None:
        """Refuse a name that could not be part of a file name."""
        if not NAME.fullmatch(name) or len(name) > 64:
            raise self.error(
                name,
                "is not a name",
                "Names are at most 64 of a-z, 0-9 and -, and do not start with -.",
            )

    def string(self, key: str, *, pattern: str = "", hint: str = "") -> str:
        """A text that must be there and not be empty."""
        value = self.data.get(key)
        if value is None:
            raise self.error("", f"has no {key}", hint or f'Add: {key} = "…"')
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"must be a text, not {value!r}", hint)
        if pattern and not re.fullmatch(pattern, value):
            raise self.error(key, f"cannot be {value!r}", hint)
        return value

    def choice(self, key: str, known: Sequence[str]) -> str:
        """One of the known texts; absent: the first."""
        if key not in self.data:
            return known[0]
        value = self.string(key)
        if value not in known:
            guess = nearest(value, known)
            raise self.error(
                key,
                f"cannot be {value!r}",
                f'Did you mean "{guess}"?' if guess else f"It is one of: {', '.join(known)}.",
            )
        return value

    def flag(self, key: str) -> bool:
        """True or false; absent: false."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {value!r}")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of texts that must be there and not be empty."""
        value = self.data.get(key)
        if value is None:
            raise self.error("", f"has no {key}", f'Add: {key} = ["…"]')
        if isinstance(value, str):
            raise self.error(key, "must be a list", f'Write: {key} = ["{value}"]')
        if (
            not isinstance(value, list)
            or not value
            or not all(isinstance(v, str) and v for v in value)
        ):
            raise self.error(key, f"must be a list of texts, not {value!r}")
        return tuple(value)

    def whole(self, key: str, *, least: int = 0, most: int = MAX_WHOLE) -> int:
        """A whole number that must be there; 1e9 is one."""
        value = self.exact(key)
        if value.denominator != 1:
            raise self.error(key, f"must be a whole number, not {value}", f"Write: {key} = 1_000")
        if not least <= value <= most:
            raise self.error(key, f"must be from {least:,} to {most:,}, not {int(value):,}")
        return int(value)

    def exact(self, key: str) -> Fraction:
        """An exact amount that must be there."""
        if key not in self.data:
            raise self.error("", f"has no {key}", f"Add: {key} = …")
        value = self.data[key]
        if isinstance(value, list):
            raise self.error(
                key,
                "is a list, and lists are sweeps only in [sweep]",
                f"Move it: [sweep] {'.'.join((*self.keys[1:], key))} = [...]",
            )
        try:
            return amount(value)
        except ValueError as error:
            raise self.error(key, str(error)) from None


_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=")


def _line_of(text: str, keys: tuple[str, ...]) -> int | None:
    """Line (from 1) where a key stands, or else the header of the table it belongs to."""
    table: tuple[str, ...] = ()
    header: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if match := _HEADER.match(line):
            table = tuple(part.strip().strip("\"'") for part in match.group(1).split("."))
            if table == keys:
                return number
            if table == keys[:-1] or (header is None and table == keys[: len(table)]):
                header = number
        elif match := _KEY.match(line):
            key = (*table, *(part.strip().strip("\"'") for part in match.group(1).split(".")))
            if key == keys or (len(key) > len(table) and key[: len(keys)] == keys):
                return number
    return header
