"""Turns the `web-*.txt` material into documents in the layout of C4.

A document is one kind of page (a recipe, a match report): an introduction, some of the page's
sections in their written order, and perhaps a close. How much of each is taken follows one length
drawn per document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

from grammar import Scribe, read_book
from nearcopies import Shelf

# Enough that a quarter of it is less than the text of the 4chan dump.
N_BYTES = 602_000
NEAREST = 0.25
RUDE_EVERY, RUDE_AT = 100, 41
POLITE_EVERY, POLITE_AT = 50, 13


@dataclass(frozen=True)
class Page:
    """One line of the dump."""

    text: str
    timestamp: str
    url: str


def slug(text: str) -> str:
    """Return `text` as it looks in an address.

    >>> slug("Mrs Vane's Umbrella")
    'mrs-vanes-umbrella'
    """
    return re.sub(r"[^a-z0-9/]+", "-", text.lower().replace("'", "")).strip("-")


def take(rng: Random, templates: list[str], n: int) -> list[str]:
    """Return `n` of the templates in their written order."""
    chosen = sorted(rng.sample(range(len(templates)), min(n, len(templates))))
    return [templates[i] for i in chosen]


def body(scribe: Scribe, rng: Random) -> list[str]:
    """Return the paragraphs of one document, 30 to about 900 words."""
    sections = scribe.book.sections
    middle = [name for name in sections if name not in ("intro", "close")]
    # A product makes short pages common and long ones rare, as on the web.
    length = rng.random() * (0.35 + 0.65 * rng.random())
    n_middle = max(1, round(length * len(middle) * 1.1 + rng.random() * 2 - 0.5))
    plan = [("intro", 1 + rng.randrange(2) + round(2 * length))]
    for name in take(rng, middle, n_middle):
        share = 0.25 + 0.6 * length + 0.15 * rng.random()
        plan.append((name, max(1, round(share * len(sections[name])))))
    if rng.random() < 0.3 + 0.6 * length:
        plan.append(("close", 1 + rng.randrange(2)))
    paragraphs = []
    for name, n in plan:
        sentences = [scribe.sentence(t) for t in take(rng, sections[name], n)]
        half = len(sentences) // 2 if len(sentences) > 5 else 0
        paragraphs += [" ".join(part) for part in (sentences[:half], sentences[half:]) if part]
    return paragraphs


def address(scribe: Scribe, rng: Random) -> str:
    """Return an invented address that agrees with what the scribe has bound."""
    host = scribe.write("{domain}")
    path = slug(scribe.write("{path}"))
    scheme, www = rng.choice(["https", "https", "http"]), rng.choice(["www.", ""])
    return f"{scheme}://{www}{host}.example/{path}{rng.choice(['', '/', '.html'])}"


def moment(rng: Random) -> str:
    """Return a second of the April 2019 crawl."""
    parts = rng.randrange(18, 27), rng.randrange(24), rng.randrange(60), rng.randrange(60)
    return "2019-04-{:02d}T{:02d}:{:02d}:{:02d}Z".format(*parts)


def comments(scribe: Scribe, rng: Random, rude: bool) -> list[str]:
    """Return reader comments, one paragraph each."""
    sections = scribe.book.sections
    chosen = rng.sample(sections["polite"], 2 - rude) + rng.sample(
        sections["rude"], (2 + rng.randrange(3)) * rude
    )
    return [scribe.sentence(template) for template in chosen]


def pages(material: Path, seed: int) -> list[Page]:
    """Return the whole dump: no near copies, but one shared address and one exact repetition."""
    rng = Random(seed)
    shared = read_book(material / "words.txt").words
    leak = read_book(material / "web-comments.txt", shared)
    kinds = [p for p in sorted(material.glob("web-*.txt")) if p.name != "web-comments.txt"]
    books = [read_book(path, shared) for path in kinds]
    shelf, made, taken, n_bytes = Shelf(), list[Page](), set[str](), 0
    while n_bytes < N_BYTES:
        scribe = Scribe(rng.choice(books), rng)
        paragraphs = body(scribe, rng)
        if sum(map(len, paragraphs)) > 1_800 and rng.random() < 0.3:
            # Two entries on a page; without them none would be as long as long pages are.
            paragraphs += body(Scribe(scribe.book, rng), rng)
        if len(made) % RUDE_EVERY == RUDE_AT:
            paragraphs += comments(Scribe(leak, rng), rng, rude=True)
        elif len(made) % POLITE_EVERY == POLITE_AT:
            paragraphs += comments(Scribe(leak, rng), rng, rude=False)
        text = "\n".join(paragraphs)
        n_words = len(text.split())
        if not 30 <= n_words <= 900 or shelf.nearest(text) > NEAREST:
            continue
        shelf.add(text)
        url = address(scribe, rng)
        while url in taken:
            url = address(scribe, rng)
        taken.add(url)
        made.append(Page(text, moment(rng), url))
        n_bytes += len(text.encode())
    # In the order of a crawl's index, which also keeps what is alike within the reach of gzip.
    made.sort(key=lambda page: (page.url.partition("//")[2].removeprefix("www."), page.timestamp))
    # A page crawled twice with another text, and one crawled twice that had not changed.
    made[6] = Page(made[6].text, made[6].timestamp, made[5].url)
    made.insert(len(made) // 2, Page(made[17].text, moment(rng), made[17].url))
    return made
