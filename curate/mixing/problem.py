"""
Turn an impossible request into what binds, by how much, and one-line changes that might mend it.

    >>> edit = Edit("component.toxic", "max_epochs", "2")
    >>> str(edit)
    'max_epochs = 2 in [component.toxic]'
    >>> edit.applied({"component": {"toxic": {"source": "pol"}}})
    {'component': {'toxic': {'source': 'pol', 'max_epochs': 2}}}
"""

import copy
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Edit:
    """One line of a recipe: `key = value` (TOML text) in a table."""

    table: str
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value} in [{self.table}]"

    def applied(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe's data with this line written or replaced."""
        changed: dict[str, Any] = copy.deepcopy(dict(data))
        *path, last = [*self.table.split("."), *self.key.split(".")]
        inner = changed
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = tomllib.loads(f"value = {self.value}", parse_float=Fraction)["value"]
        return changed


class Problem(Exception):
    """
    Why a recipe cannot be planned, and `edits` that may mend it, best first.

    The edits are guesses: `feasible.explain` offers those that it has seen work.
    """

    def __init__(
        self, message: str, details: Sequence[str] = (), edits: Sequence[Edit] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = list(details)
        self.edits = list(edits)


def grouped(count: int) -> str:
    """A whole number as TOML: 16_844_019_712."""
    return f"{count:_}"
