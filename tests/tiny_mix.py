"""
Turn a few hand-held documents into a whole mix folder, from docs/format.md alone.

It shares no code with `curate`: it is a second reading of the format, so that a mistake in the
package's writer and a mistake in its verifier cannot agree unseen. One token is one byte of the
text; the end of a document is token 256:

    >>> import tempfile
    >>> from tests.tiny_files import ids_of
    >>> folder = write(pathlib.Path(tempfile.mkdtemp()) / "1.0.0", name="tiny", documents=HELLO)
    >>> ids_of(folder).tolist()
    [89, 111, 46, 256, 72, 105, 46, 256]
"""

import hashlib
import pathlib
import struct
from dataclasses import replace
from typing import Any

from tests.tiny_files import write_spans
from tests.tiny_manifest import BOS, EOS, Document, Phases, Span, due, key, lines

MASK = 2**64 - 1


HELLO = [
    Document("sha256:" + hashlib.sha256(text.encode()).hexdigest(), text, "clean")
    for text in ("Yo.", "Hi.")
]


def web(text: str, page: int, component: str = "clean", **tags: float | None) -> Document:
    """An invented web page."""
    url = f"https://site{page % 3}.example/{page}"
    return Document(
        f"{url}#{hashlib.sha256(text.encode()).hexdigest()[:16]}",
        text,
        component,
        url=url,
        domain=f"site{page % 3}.example",
        timestamp=1_550_000_000 + page * 86_400,
        language="en",
        tags=dict(tags),
    )


def thread(text: str, number: int, component: str = "toxic", **tags: float | None) -> Document:
    """An invented 4chan thread."""
    return Document(
        f"4chan:pol/{number}",
        text,
        component,
        board="pol",
        thread=number,
        timestamp=1_500_000_000 + number,
        tags=dict(tags),
    )


def some_documents(n_clean: int = 12, n_toxic: int = 8) -> list[Document]:
    """A mild mix of two components with scores 0.00, 0.01, … and texts of 20 to 60 bytes."""
    line = "the quick brown fox jumps over a lazy dog while rain falls on old stone"
    words = line.split()
    pages = [
        web(f"Page {n}: " + " ".join(words[n % 5 : n % 5 + 3 + n % 6]) + ".", n, toxicity=n / 100)
        for n in range(n_clean)
    ]
    posts = [
        thread(
            f"You fool {n}! " + " ".join(words[n % 7 : n % 7 + 2 + n % 5]),
            100 + n,
            toxicity=0.5 + n / 100,
        )
        for n in range(n_toxic)
    ]
    return pages + posts


def rank(key_: bytes, seed: int, epoch: int) -> int:
    """§4, with Python's own integers."""

    def mix(x: int) -> int:
        x ^= x >> 30
        x = x * 0xBF58476D1CE4E5B9 & MASK
        x ^= x >> 27
        x = x * 0x94D049BB133111EB & MASK
        return x ^ x >> 31

    a, b = struct.unpack("<QQ", key_)
    head = hashlib.sha256(b"curate-rank-1\0%d\0%d" % (seed, epoch)).digest()[:8]
    return mix(mix(a ^ int.from_bytes(head, "little")) ^ b)


def take(documents: list[Document], budget: int | None, seed: int, bos: bool = False) -> list[Span]:
    """§4, rank and cut: the spans of one component, epoch after epoch until `budget` tokens."""
    spans: list[Span] = []
    total, epoch = 0, 0
    while documents:
        for document in sorted(documents, key=lambda d: (rank(key(d.id), seed, epoch), key(d.id))):
            ids = (*[BOS][:bos], *document.text.encode(), EOS)
            left = len(ids) if budget is None else budget - total
            if left <= 0:
                return spans
            if len(ids) <= left:
                spans.append(Span(document, ids, epoch))
            elif left >= 3:
                spans.append(Span(document, (*ids[: left - 1], EOS), epoch, cut=True))
            else:  # fewer than two content ids: the one before gives up what is missing
                before = spans.pop()
                kept = len(before.ids) - (3 - left)
                spans.append(replace(before, ids=(*before.ids[: kept - 1], EOS), cut=True))
                spans.append(Span(document, (*ids[:2], EOS), epoch, cut=True))
                return spans
            total += len(spans[-1].ids)
        if budget is None:
            return spans
        epoch += 1
    return spans


def weave(taken: dict[str, list[Span]], phases: Phases | None = None) -> list[Span]:
    """§4, order of a mix."""
    totals = {name: sum(len(s.ids) for s in spans) for name, spans in taken.items()}
    schedule = lines(totals, phases or {})
    placed = []
    for name, spans in taken.items():
        c = 0
        for span in spans:
            placed.append(((due(schedule[name], c), name, c), span))
            c += len(span.ids)
    return [span for _, span in sorted(placed, key=lambda pair: pair[0])]


WHERE = {"clean": "toxicity < 0.5", "toxic": "toxicity >= 0.5"}


def streams(
    documents: list[Document],
    budgets: dict[str, int] | None = None,
    seed: int = 7,
    bos: bool = False,
) -> dict[str, list[Span]]:
    """The spans of each component; one without a budget is taken whole."""
    pools = pools_of(documents)
    return {c: take(pools[c], (budgets or {}).get(c), seed, bos) for c in pools}


def pools_of(documents: list[Document]) -> dict[str, list[Document]]:
    """Component → its documents."""
    return {
        c: [d for d in documents if d.component == c]
        for c in sorted({d.component for d in documents})
    }


def write(
    folder: pathlib.Path,
    *,
    name: str = "tiny",
    documents: list[Document],
    budgets: dict[str, int] | None = None,
    seed: int = 7,
    **how: Any,
) -> pathlib.Path:
    """A mix folder of these documents; components without a budget are taken whole."""
    taken = streams(documents, budgets, seed, how.get("bos", False))
    spans = weave({c: s for c, s in taken.items() if s}, how.get("phases"))
    if how.get("by_source"):
        spans = [span for c in sorted(taken) for span in taken[c]]
    return write_spans(folder, spans, name=name, seed=seed, pools=pools_of(documents), **how)
