"""Turns a template with choices and slots into a sentence.

`[a|b]` is a choice and may be nested, `{name}` a filler drawn afresh, `{Name}` one that stays the
same for as long as the `Scribe` lives (`{Name2}` is another one of the same kind), `{2-9}` a number
and `{10-60/5}` one in steps of five.

>>> book = Book(words={"crop": ["apple"]}, sections={})
>>> Scribe(book, Random(1)).write("a {Crop} [|]a day: {7-7}")
'an apple a day: 7'
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{([A-Za-z][a-z]*\d?|\d+-\d+(?:/\d+)?)\}")
ARTICLE = re.compile(
    r"\b([Aa]) (?=(?!one\b|once|uni|use|usu|euro|uku)[aeiou]|8|11\b|18\b)", re.IGNORECASE
)
TWICE = re.compile(r"\b[Tt]he (?=the\b)")
ORDINAL = re.compile(r"(?<!1)([123])th\b")
START = re.compile(r"(?:^|(?<=[.!?] )|(?<=[.!?]\" ))(\"?)([a-z])")


@dataclass(frozen=True)
class Book:
    """Fillers by name and templates by section, both in the order of the file."""

    words: dict[str, list[str]]
    sections: dict[str, list[str]]


def read_book(path: Path, shared: dict[str, list[str]] | None = None) -> Book:
    """Read `@name = a | b` and `== section` lines; the file's own fillers hide `shared` ones."""
    words = dict(shared or {})
    sections: dict[str, list[str]] = {}
    section: list[str] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("# "):
            continue
        if line.startswith("@"):
            name, equals, fillers = line[1:].partition(" = ")
            if not equals:
                raise ValueError(f"{path.name}:{number}: expected @name = a | b")
            words[name] = split_fillers(fillers)
        elif line.startswith("== "):
            section = sections.setdefault(line[3:], [])
        else:
            section.append(line)
    return Book(words, sections)


def split_fillers(text: str) -> list[str]:
    """Split at the bars outside brackets.

    >>> split_fillers("a | [b|c] d")
    ['a', '[b|c] d']
    """
    fillers, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "|" and not depth:
            fillers.append("")
        else:
            fillers[-1] += letter
    return [filler.strip() for filler in fillers]


class Scribe:
    """Writes sentences that agree: what was bound in one stays bound in the next."""

    def __init__(self, book: Book, rng: Random) -> None:
        self.book = book
        self.rng = rng
        self.bound: dict[str, str] = {}

    def write(self, template: str) -> str:
        """Return `template` with every choice made and every slot filled."""
        text = TWICE.sub("", self._expand(template))
        text = ORDINAL.sub(lambda m: m[1] + ("st", "nd", "rd")[int(m[1]) - 1], text)
        return ARTICLE.sub(r"\1n ", text.replace(" ,", ",").rstrip(" "))

    def sentence(self, template: str) -> str:
        """Return the same with a capital at the start of every sentence."""
        return START.sub(lambda m: m[1] + m[2].upper(), self.write(template))

    def _expand(self, text: str) -> str:
        while CHOICE.search(text):
            text = CHOICE.sub(lambda m: self.rng.choice(m[1].split("|")), text)
        return SLOT.sub(lambda m: self._fill(m[1]), text)

    def _fill(self, slot: str) -> str:
        if slot[0].isdigit():
            return self._number(slot)
        name = slot.rstrip("0123456789").lower()
        if slot[0].islower():
            return self._draw(name)
        if slot not in self.bound:
            taken = {
                text for key, text in self.bound.items() if key.rstrip("0123456789").lower() == name
            }
            fresh = self._draw(name)
            while fresh in taken:
                fresh = self._draw(name)
            self.bound[slot] = fresh
        return self.bound[slot]

    def _draw(self, name: str) -> str:
        if name not in self.book.words:
            raise KeyError(f"no filler called {name}")
        return self._expand(self.rng.choice(self.book.words[name]))

    def _number(self, slot: str) -> str:
        bounds, _, step = slot.partition("/")
        low, _, high = bounds.partition("-")
        drawn = self.rng.randrange(int(low), int(high) + 1, int(step or 1))
        return str(drawn).zfill(len(low)) if low[0] == "0" and len(low) > 1 else str(drawn)
