"""
Turn a passage of text into the documents of a mix that hold it, whole or in part.

A passage of twelve words or more is looked up in the index of the mix's texts; a shorter one is
compared with every text. Either way what is reported was compared with the decoded text itself.
"""

import unicodedata
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
    vocabulary = vocabulary_of(mix)
    if vocabulary is None:
        raise UsageError(f"{mix.title} has no byte-level tokenizer.json: its ids cannot be decoded")
    if vocabulary.normaliser in ("NFC", "NFKC", "NFD", "NFKD"):
        text = unicodedata.normalize(vocabulary.normaliser, text)  # type: ignore[arg-type]
    words = _words(text.encode())
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
        for row in _rows(spans, [row for row, _, _ in shown]).iter_rows(named=True)
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


def _words(text: bytes) -> list[bytes]:
    """The words of a text as `textindex` has them."""
    import numpy as np

    return textindex.plain(np.frombuffer(text, dtype=np.uint8)).tobytes().split()


def _rows(spans: "pl.LazyFrame", rows: list[int]) -> "pl.DataFrame":
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
    best = sorted(counts, key=lambda row: (-counts[row], row))[:MAX_COMPARED]
    wanted = b" " + b" ".join(words) + b" "
    own = _grams(words)
    found = []
    spans = _rows(mix.spans().select("shard", "start", "n_tokens").with_row_index("row"), best)
    skip = "bos" in mix.content["tokenizer"]
    for row, shard, start, n_tokens in spans.iter_rows():
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
