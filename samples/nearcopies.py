"""Turns a growing list of texts into an index that tells how near a new text is to any of them.

>>> shelf = Shelf()
>>> shelf.add("one two three four five six")
>>> shelf.nearest("one two three four five seven")
0.3333333333333333
"""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W_]+")
N_WORDS = 5


def shingles(text: str) -> set[tuple[str, ...]]:
    """Return the runs of five lower-case words of `text`."""
    words = WORD.findall(text.lower())
    return {tuple(words[i : i + N_WORDS]) for i in range(len(words) - N_WORDS + 1)}


class Shelf:
    """Texts seen so far, found again by their shingles."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._holders: dict[tuple[str, ...], list[int]] = {}

    def add(self, text: str) -> None:
        """Remember `text`."""
        own = shingles(text)
        for shingle in own:
            self._holders.setdefault(shingle, []).append(len(self._sizes))
        self._sizes.append(len(own))

    def nearest(self, text: str) -> float:
        """Return the largest Jaccard similarity of `text` to one added before, or 0.0."""
        own = shingles(text)
        common: dict[int, int] = {}
        for shingle in own:
            for holder in self._holders.get(shingle, ()):
                common[holder] = common.get(holder, 0) + 1
        return max((n / (len(own) + self._sizes[i] - n) for i, n in common.items()), default=0.0)
