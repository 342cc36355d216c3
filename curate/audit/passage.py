"""
Turn a passage of text into the documents of a mix that hold it, whole or in part.

A passage of twelve words or more is looked up in the index of the mix's texts; a shorter one is
compared with every text. Either way what is reported was compared with the decoded text itself.
"""

import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from curate.audit import textindex
from curate.audit.decode import Vocabulary
from curate.audit.findings import Progress, silent
from curate.audit.opened import Opened, collected
from curate.audit.rows import first_tokens, span_facts
from curate.audit.trace import vocabulary_of
from curate.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

MAX_COMPARED = 1_000
"""Candidates whose text is compared, those that share the most grams first."""

MAX_SHOWN = 100


def find_text(
    mix: Opened, text: str, *, near: float = 0.1, progress: Progress = silent
) -> dict[str, Any]:
    """
    Spans whose text holds the passage (`exact`) or at least `near` of its grams of five words.

    `error_rate` says in words what can be missed. UsageError if the mix cannot be decoded or the
    passage has no word.
    """
    vocabulary, [words] = vocabulary_and_words(mix, [text])
    if not words:
        raise UsageError("the passage has no word in it")
    if len(words) < textindex.SURE:
        rows = _scan(mix, vocabulary, words, progress)
        found = [(row, True, 1.0) for row in rows]
        rate = "every text was compared: no document that holds these words in a row is missed"
    else:
        found = _look_up(mix, vocabulary, words, near, progress)
        rate = (
            f"no document that shares {textindex.SURE} words in a row with the passage is missed "
            f"(up to {MAX_COMPARED:,} candidates); nothing is found by chance, all was compared"
        )
    spans = mix.spans().with_row_index("row")
    firsts = first_tokens(mix)
    shown = found[:MAX_SHOWN]
    facts = {
        row["row"]: span_facts(mix, row, firsts)
        for row in rows_of(spans, [row for row, _, _ in shown]).iter_rows(named=True)
    }
    return {
        "mix": mix.title,
        "content_id": mix.manifest["content_id"],
        "n_words": len(words),
        "n_exact": sum(exact for _, exact, _ in found),
        "n_near": sum(not exact for _, exact, _ in found),
        "error_rate": rate,
        "matches": [
            {"exact": exact, "containment": round(part, 4), "span": facts[row]}
            for row, exact, part in shown
        ],
    }


def vocabulary_and_words(mix: Opened, texts: Sequence[str]) -> tuple[Vocabulary, list[list[bytes]]]:
    """What decodes a mix, and the words of texts as its own are; UsageError if nothing does."""
    vocabulary = vocabulary_of(mix)
    if vocabulary is None:
        raise UsageError(f"{mix.title} has no byte-level tokenizer.json: its ids cannot be decoded")
    form = vocabulary.normaliser
    if form in ("NFC", "NFKC", "NFD", "NFKD"):
        texts = [unicodedata.normalize(form, text) for text in texts]  # type: ignore[arg-type]
    return vocabulary, [_words(text.encode()) for text in texts]


def _words(text: bytes) -> list[bytes]:
    """The words of a text as `textindex` has them."""
    import numpy as np

    return textindex.plain(np.frombuffer(text, dtype=np.uint8)).tobytes().split()


def rows_of(spans: "pl.LazyFrame", rows: list[int]) -> "pl.DataFrame":
    """The spans with these numbers, `row` among their columns."""
    import polars as pl

    return collected(spans.filter(pl.col("row").is_in(rows)))


def _scan(mix: Opened, vocabulary: Vocabulary, words: list[bytes], progress: Progress) -> list[int]:
    """Rows whose text holds these words in a row, by reading all of it."""
    wanted = b" " + b" ".join(words) + b" "
    spans = collected(mix.spans().select("n_tokens"))
    first_row, found = 0, []
    with progress("reading texts", mix.content["n_tokens"] * mix.width) as advance:
        for number, shard in enumerate(mix.shards):
            rows = spans[first_row : first_row + shard["n_spans"]]
            for first, data, edges in textindex.decoded(mix, number, rows, vocabulary):
                raw = data.tobytes()
                for n, (a, b) in enumerate(pairwise(edges.tolist())):
                    text = raw[a:b].lower()
                    if words[0] in text and wanted in b" " + b" ".join(_words(text)) + b" ":
                        found.append(first_row + first + n)
            first_row += shard["n_spans"]
            advance(shard["n_tokens"] * mix.width)
    return found


def _look_up(
    mix: Opened, vocabulary: Vocabulary, words: list[bytes], near: float, progress: Progress
) -> list[tuple[int, bool, float]]:
    """(row, whole passage?, part of its grams) of candidates, the nearest first."""
    import numpy as np

    folder = textindex.index(mix, vocabulary, progress)
    joined = np.frombuffer(b" ".join(words), dtype=np.uint8)
    hashes, _ = textindex.grams(joined, np.array([0, len(joined)]))
    counts = textindex.candidates(folder, mix, hashes)
    best = sorted(counts, key=lambda row: (-counts[row], row))
    spans = collected(mix.spans().select("shard", "start", "n_tokens"))
    return matched(mix, vocabulary, words, spans, best, near)


def matched(
    mix: Opened,
    vocabulary: Vocabulary,
    words: list[bytes],
    spans: "pl.DataFrame",
    rows: list[int],
    near: float,
) -> list[tuple[int, bool, float]]:
    """
    (row, whole passage?, part of its grams) of the first candidates `rows`, the nearest first.

    At most MAX_COMPARED are decoded and compared; what shares less than `near` is left out. `spans`
    has `shard`, `start`, `n_tokens` of all spans.
    """
    wanted = b" " + b" ".join(words) + b" "
    own = _grams(words)
    found = []
    best = rows[:MAX_COMPARED]
    skip = "bos" in mix.content["tokenizer"]
    for row, (shard, start, n_tokens) in zip(best, spans[best].iter_rows(), strict=True):
        ids = mix.ids(shard)[start + skip : start + n_tokens - 1]
        theirs = _words(vocabulary.decode(ids)[0].tobytes())
        exact = wanted in b" " + b" ".join(theirs) + b" "
        part = len(own & _grams(theirs)) / len(own)
        if exact or part >= near:
            found.append((row, exact, part))
    return sorted(found, key=lambda match: (not match[1], -match[2], match[0]))


def _grams(words: list[bytes]) -> set[bytes]:
    n = textindex.GRAM
    return {b" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}
