"""
Turn a batch that the fast engine encoded into the documents on which the reference disagrees.

The sample is decided by the document's key alone: those whose first eight bytes, as a
little-endian number, are divisible by 1,000, and some rows spread over the part. A sample can
miss a difference; `verify --retokenize all` cannot.

    >>> chosen(np.array([1000, 1001, 5, 3000], dtype=np.uint64), first_row=14, n_rows=100).tolist()
    [0, 3]
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curate.tokenizer import Tokenizer
from curate.tokens.batches import batches, n_rows
from curate.tokens.engines import Engine, Ids, Offsets, choose, reference

ONE_IN = 1_000
N_SPREAD = 8
"""Rows of every part that are compared whatever their keys."""

LONG_TEXT = 8_192
"""Characters; of a longer document both engines encode so many, from a place its key decides."""


def chosen(words: npt.NDArray[np.uint64], *, first_row: int, n_rows: int) -> npt.NDArray[np.intp]:
    """
    Which rows of a batch are compared: their positions in it.

    `words` are the first halves of the keys, `first_row` is the batch's first row in the part,
    `n_rows` those of the part.
    """
    take = words % np.uint64(ONE_IN) == 0
    spread = np.arange(N_SPREAD) * n_rows // N_SPREAD - first_row
    take[spread[(spread >= 0) & (spread < len(words))]] = True
    return np.flatnonzero(take)


def mismatches(
    texts: list[str],
    ids: Ids,
    offsets: Offsets,
    rows: npt.NDArray[np.intp],
    words: npt.NDArray[np.uint64],
    tokenizer: Tokenizer,
    engine: Engine,
) -> list[int]:
    """Those of `rows` whose ids are not the reference's; `words` are as in `chosen`."""
    wrong = []
    for row in rows.tolist():
        text, found = texts[row], ids[offsets[row] : offsets[row + 1]]
        if len(text) > LONG_TEXT:
            start = int(words[row]) // ONE_IN % (len(text) - LONG_TEXT + 1)
            text = text[start : start + LONG_TEXT]
            found, _ = engine.encode([text])
        right, _ = reference(tokenizer).encode([text])
        if not np.array_equal(right, found):
            wrong.append(row)
    return wrong


@dataclass
class Comparison:
    """What comparing whole parts gave."""

    n_documents: int = 0
    n_tokens: int = 0
    n_bytes: int = 0
    wrong: list[str] = field(default_factory=list)  # keys in hex
    cpu_seconds: dict[str, float] = field(default_factory=dict)  # by engine


def n_documents(parts: Sequence[Path]) -> int:
    """Documents of all parts."""
    return sum(map(n_rows, parts))


def compare_parts(
    parts: Sequence[Path],
    tokenizer: Tokenizer,
    *,
    one_in: int = 1,
    progress: Callable[[int], None] = lambda n_documents: None,
) -> Comparison:
    """
    Encode the documents of parts, or one in so many by key, with both engines and compare all ids.

    Raises MissingExtraError or IntegrityError where the fast engine is not to be had at all.
    """
    fast, _ = choose(tokenizer, "fastokens")
    slow, _ = choose(tokenizer, "tokenizers")
    found = Comparison(cpu_seconds={fast.name: 0.0, slow.name: 0.0})
    for part in parts:
        for batch in batches(part):
            rows = np.flatnonzero(batch.words % np.uint64(one_in) == 0)
            frame = batch.frame[rows]
            texts = frame["text"].to_list()
            results = []
            for engine in (fast, slow):
                began = time.process_time()
                results.append(engine.encode(texts))
                found.cpu_seconds[engine.name] += time.process_time() - began
            (ids, offsets), (right, borders) = results
            found.wrong += [
                frame["key"][row].hex()
                for row in range(len(texts))
                if not np.array_equal(
                    ids[offsets[row] : offsets[row + 1]], right[borders[row] : borders[row + 1]]
                )
            ]
            found.n_documents += len(texts)
            found.n_tokens += len(right)
            found.n_bytes += int(frame["n_bytes"].sum())
            progress(batch.frame.height)
    return found
