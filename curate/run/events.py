"""
Turn what a build is doing into events that somebody else may draw.

    >>> shown = []
    >>> listener: Listener = shown.append
    >>> listener(Started("read", total=10, unit="bytes"))
    >>> listener(Advanced("read", 4))
    >>> shown[1].n
    4
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """A stage begins: `total` units of work are ahead, `n_tasks` tasks, `n_done` done before."""

    stage: str
    total: int
    unit: str
    n_tasks: int = 0
    n_done: int = 0


@dataclass(frozen=True)
class Advanced:
    """A stage has done `n` more units."""

    stage: str
    n: int


@dataclass(frozen=True)
class Finished:
    """A stage is over."""

    stage: str


@dataclass(frozen=True)
class Said:
    """Something a person should read."""

    text: str


Event = Started | Advanced | Finished | Said
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener for callers that want no events."""
