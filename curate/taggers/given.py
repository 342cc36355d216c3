"""
Turn what a dump or a list already says into tags: Perspective scores as found, counts of words.

    >>> import polars as pl
    >>> made = opened({"kind": "wordlist", "name": "rude", "words": ["fool", "silly fool"]})
    >>> made.tag(pl.DataFrame({"text": ["Silly fool! You FOOL.", "foolish"]}))["rude"].to_list()
    [2, 0]
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.errors import InputError

if TYPE_CHECKING:
    import polars as pl

HEADS = (
    "toxicity",
    "severe_toxicity",
    "inflammatory",
    "profanity",
    "insult",
    "obscene",
    "spam",
)
"""Perspective's scores in "Raiders of the Lost Kek", which readers keep as `perspective.<head>`."""

_WORDS_AT_ONCE = 2_000  # of a list in one regular expression, which has a limit of its own


class Perspective:
    """A score that came with the dump: null where it has none, never computed here."""

    batch_bytes = 32 << 20

    def __init__(self, name: str, head: str) -> None:
        self.name = name
        self.needs = (f"perspective.{head}",)

    def tag(self, table: "pl.DataFrame") -> "pl.DataFrame":
        """`<name>`: Float32 in [0, 1] or null."""
        import polars as pl

        (column,) = self.needs
        if column not in table.columns:
            return pl.DataFrame({self.name: pl.Series([None] * table.height, dtype=pl.Float32)})
        found = table[column].cast(pl.Float32).alias(self.name)
        if not found.drop_nulls().is_between(0, 1).all():
            raise InputError(f"{column} has a score outside 0 to 1")
        return found.to_frame()


class WordList:
    """How often a text has a word or phrase of a list: whole words, any case, longest first."""

    needs = ("text",)
    batch_bytes = 32 << 20

    def __init__(self, name: str, words: Sequence[str]) -> None:
        self.name = name
        longest = sorted(words, key=lambda word: (-len(word), word))
        self.patterns = [
            _pattern(longest[start : start + _WORDS_AT_ONCE])
            for start in range(0, len(longest), _WORDS_AT_ONCE)
        ]

    def tag(self, table: "pl.DataFrame") -> "pl.DataFrame":
        """`<name>` UInt32: matches that do not overlap."""
        import polars as pl

        total = sum(
            (pl.col("text").str.count_matches(pattern) for pattern in self.patterns),
            start=pl.lit(0, pl.UInt32),
        )
        return table.select(total.alias(self.name).cast(pl.UInt32))


def opened(declaration: Mapping[str, Any]) -> Perspective | WordList:
    """The tagger of a declaration of kind `perspective` or `wordlist`."""
    if declaration["kind"] == "perspective":
        return Perspective(declaration["name"], declaration["head"])
    return WordList(declaration["name"], declaration["words"])


def _pattern(words: Sequence[str]) -> str:
    return "(?i)(?:" + "|".join(map(_bounded, words)) + ")"


def _bounded(word: str) -> str:
    """A word as a pattern that does not match inside a longer word; runs of space are any space."""
    inner = r"\s+".join(re.escape(piece) for piece in word.split())
    return rf"\b{inner}\b" if word[0].isalnum() and word[-1].isalnum() else inner
