"""Turns the `board-*.txt` material into what a poster says, and how heated it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from grammar import Book, Scribe, read_book
from markup import Line, Piece, inline, link, plain

BOARD = "pol"
OTHER_BOARDS = ("ck", "n", "v", "g", "an", "diy", "out")
HEAT = {"jab": 0.3, "insult": 0.72, "tirade": 0.9}
EXCERPT = 90


@dataclass(frozen=True)
class Said:
    """The lines of a post, its heat in [0, 1], and the words an entity tagger would find in it."""

    lines: list[Line]
    heat: float

    @property
    def text(self) -> str:
        """The post as it is read."""
        return plain(self.lines)


def read_topics(material: Path) -> tuple[Book, dict[str, Book]]:
    """Return what is said everywhere, and by topic that with what is said there only."""
    shared = read_book(material / "words.txt").words
    banter = read_book(material / "board-banter.txt", shared)
    topics = {}
    for path in sorted(material.glob("board-*.txt")):
        if path.name != "board-banter.txt":
            own = read_book(path, banter.words)
            topics[path.stem.removeprefix("board-")] = Book(
                own.words, {**banter.sections, **own.sections}
            )
    return banter, topics


class Talker:
    """Speaks on one topic in one thread and uses up its templates before it repeats one."""

    def __init__(self, book: Book, rng: Random) -> None:
        self.scribe = Scribe(book, rng)
        self.rng = rng
        self._decks: dict[str, list[str]] = {}

    def say(self, section: str) -> str:
        """Return a sentence of a section, with capitals only where the material has them."""
        return self.scribe.write(self._next(section))

    def _next(self, section: str) -> str:
        deck = self._decks.setdefault(section, [])
        if not deck:
            deck += self.scribe.book.sections[section]
            self.rng.shuffle(deck)
        return deck.pop()

    def opening(self) -> Said:
        """Return a first post."""
        lines = [inline(self.scribe.sentence(self._next("ops")))]
        if self.rng.random() < 0.3:
            lines += [Line([]), inline(self.say("claims"))]
        return Said(lines, 0.0)

    def reply(self, temper: float, target: Said | None, links: list[Piece]) -> Said:
        """Return a reply that may cite `target`; `temper` is the chance that it is hostile."""
        rng = self.rng
        lines = [Line([piece]) for piece in links]
        if target is not None and rng.random() < 0.22:
            lines += self._cite(target)
        if rng.random() < temper:
            hostile, heat = self._hostile()
            return Said(lines + hostile, heat)
        return Said(lines + self._civil(target is not None), 0.08 if rng.random() < 0.3 else 0.0)

    def _cite(self, target: Said) -> list[Line]:
        spoken = [
            p.text
            for line in target.lines
            if not line.green
            for p in line.pieces
            if p.kind == "text"
        ]
        spoken = [text for text in spoken if len(text) > 15]
        if not spoken:
            return []
        words = self.rng.choice(spoken).split(" ")
        start = self.rng.randrange(max(1, len(words) - 8)) if self.rng.random() < 0.5 else 0
        excerpt = ""
        for word in words[start:]:
            if len(excerpt) + len(word) > EXCERPT:
                break
            excerpt = f"{excerpt} {word}".strip()
        return [inline(excerpt, green=True)] if excerpt else []

    def _hostile(self) -> tuple[list[Line], float]:
        kind = self.rng.choice(["jab", "jab", "insult", "insult", "insult", "insult", "tirade"])
        spoken = [self.say(kind)]
        if self.rng.random() < 0.45:
            spoken.append(self.say("retorts"))
        if self.rng.random() < 0.3:
            spoken.append(self.say("claims"))
        if len(spoken) > 1 and self.rng.random() < 0.6:
            spoken = [", ".join(spoken)]
        return [inline(text) for text in spoken], HEAT[kind]

    def _civil(self, answering: bool) -> list[Line]:
        rng, draw = self.rng, self.rng.random()
        if draw < 0.05:
            return self._story()
        if draw < 0.10:
            return [inline(self.say("frame").removeprefix(">"), green=True)]
        if draw < 0.13:
            return [
                inline(self.say("link")),
                *([inline(self.say("claims"))] if rng.random() < 0.4 else []),
            ]
        if draw < 0.14:
            return [inline(self.say("longword"))]
        if draw < 0.19:
            return [inline(self.say("oneliner"))]
        if draw < 0.34 and "code" in self.scribe.book.sections:
            code = self.say("code").replace("\\n", "\n").replace("\\t", "\t")
            return [inline(self.say("codetalk")), Line([Piece("code", code)])]
        if draw < 0.29:
            return [
                inline(self.say("agree")),
                *([inline(self.say("claims"))] if rng.random() < 0.5 else []),
            ]
        if draw < 0.43:
            return [inline(self.say("asks"))]
        if draw < 0.58 and answering:
            return [
                inline(self.say("retorts")),
                *([inline(self.say("claims"))] if rng.random() < 0.5 else []),
            ]
        spoken = [self.say("claims") for _ in range(rng.choice([1, 1, 2, 2, 2, 3, 4]))]
        lines = [inline(spoken[0])]
        for text in spoken[1:]:
            if rng.random() < 0.4:
                lines.append(Line([]))
            lines.append(inline(text))
        if rng.random() < 0.12:
            lines.append(
                inline("also, ~" + self.say("retorts").removeprefix(">").replace("~", "") + "~")
            )
        return lines

    def _story(self) -> list[Line]:
        steps = self.scribe.book.sections["story"]
        keep = sorted(self.rng.sample(range(len(steps)), self.rng.randrange(4, len(steps) + 1)))
        lines = [inline("be me", green=True)] if self.rng.random() < 0.7 else []
        return lines + [
            inline(self.scribe.write(steps[i]).removeprefix(">"), green=True) for i in keep
        ]


def links_of(rng: Random, targets: list[int], strangers: list[tuple[int, int]]) -> list[Piece]:
    """Return a reply's links: to `targets`, now and then to a (thread, post) elsewhere."""
    links = [link(no, f"#p{no}") for no in targets]
    draw, (thread, post) = rng.random(), rng.choice(strangers)
    if draw < 0.012:
        links.append(link(post, f"/{BOARD}/thread/{thread}#p{post}"))
    elif draw < 0.02:
        board, no = rng.choice(OTHER_BOARDS), rng.randrange(1_000_000, 90_000_000)
        links.append(link(no, f"//boards.4chan.org/{board}/thread/{no}#p{no}", board))
    elif draw < 0.025:
        board = rng.choice(OTHER_BOARDS)
        links.append(Piece("quotelink", f">>>/{board}/", f"//boards.4chan.org/{board}/"))
    elif draw < 0.037:
        links.append(Piece("deadlink", f">>{thread - rng.randrange(200_000, 900_000)}"))
    return links
