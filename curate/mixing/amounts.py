"""
Turn what a use is asked for into one value: so many of a unit.

    >>> Amount("tokens", 1_000)
    Amount(unit='tokens', requested=1000)
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Amount:
    """A whole number of tokens, documents or bytes."""

    unit: str
    requested: int
