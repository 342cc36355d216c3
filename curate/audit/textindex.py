"""
Turn the texts of a mix into an index by which a passage is found, whole or in part.

Words are runs of letters, digits and characters beyond ASCII that are not punctuation, ASCII in
lower case. Five words in a row make a gram, a 64-bit hash; of every eight grams in a row the least
is kept (winnowing: Schleimer, Wilkerson, Aiken 2003). Two texts that share twelve words in a row
therefore share a kept gram: a copy of that length is never missed. What the index offers is
compared word by word in the decoded text, so that nothing found is a chance of hashing.

    >>> import numpy as np
    >>> text = np.frombuffer(b"One two, three four FIVE! six seven eight", dtype=np.uint8)
    >>> len(grams(text, np.array([0, len(text)]))[0])
    4
    >>> shout = np.frombuffer(b"ONE TWO THREE FOUR FIVE", dtype=np.uint8)
    >>> bool(grams(shout, np.array([0, 23]))[0][0] in grams(text, np.array([0, len(text)]))[0])
    True
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import files
from curate.audit.decode import Vocabulary
from curate.audit.findings import Progress, silent
from curate.audit.opened import Opened, collected

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Hashes = npt.NDArray[np.uint64]
    Positions = npt.NDArray[np.int64]

FORMAT = 1
GRAM = 5
WINDOW = 8
SURE = GRAM + WINDOW - 1
"""Words in a row that a copy must share to be found for sure."""

BLANK = ord(" ")
BLOCK = 2**20
"""Ids decoded at once, at least; a span is never divided."""

_BASE = 0x9E3779B97F4A7C15 | 1
_STEP = 0xC2B2AE3D27D4EB4F


def cache_folder() -> Path:
    """Where indexes are kept: `$XDG_CACHE_HOME/curate` or `~/.cache/curate`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "curate" / "text"


def plain(text: "Bytes") -> "Bytes":
    """UTF-8 in lower case (ASCII only), whatever is no word turned into blanks, byte for byte."""
    import numpy as np

    result: Bytes = _table()[text]
    one = np.concatenate([text[1:], [0]])
    # U+00A0–00BF, U+2000–207F and U+3000–303F: blanks, dashes, quotation marks and their like.
    pairs = (text == 0xC2) & (one >= 0xA0) & (one <= 0xBF)
    triples = ((text == 0xE2) & (one >= 0x80) & (one <= 0x81)) | ((text == 0xE3) & (one == 0x80))
    for start, length in ((pairs, 2), (triples, 3)):
        places = np.flatnonzero(start)
        for step in range(length):
            result[np.minimum(places + step, len(result) - 1)] = BLANK
    return result


@lru_cache(maxsize=1)
def _table() -> "Bytes":
    """What each byte becomes: letters in lower case, digits and bytes beyond ASCII stay."""
    import numpy as np

    table = np.full(256, BLANK, dtype=np.uint8)
    table[128:] = np.arange(128, 256)
    for first, last, target in (("0", "9", "0"), ("a", "z", "a"), ("A", "Z", "a")):
        n = ord(last) - ord(first) + 1
        table[ord(first) : ord(first) + n] = np.arange(ord(target), ord(target) + n)
    return table


def grams(text: "Bytes", edges: "Positions") -> "tuple[Hashes, Positions]":
    """
    Hash and document of every gram of m documents, back to back in `text`.

    `edges` (m + 1) are where the documents begin and the end of the last. Both results have shape
    (number of grams,); no gram spans two documents.
    """
    import numpy as np

    lower = plain(text)
    inside = lower != BLANK
    breaks = np.zeros(len(text) + 1, dtype=bool)
    breaks[edges] = True  # a word ends with its document
    before = np.concatenate([[False], inside[:-1]]) & ~breaks[:-1]
    after = np.concatenate([inside[1:], [False]]) & ~breaks[1:]
    starts, ends = np.flatnonzero(inside & ~before), np.flatnonzero(inside & ~after) + 1
    words = _polynomials(lower, starts, ends)
    documents = np.searchsorted(edges, starts, side="right") - 1
    if len(words) < GRAM:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    last = len(words) - GRAM + 1
    hashes = np.zeros(last, dtype=np.uint64)
    for step in range(GRAM):
        hashes = hashes * np.uint64(_STEP) + words[step : step + last]
    hashes = _mixed(hashes)
    whole = documents[:last] == documents[GRAM - 1 :]
    return hashes[whole], documents[:last][whole]


def _polynomials(text: "Bytes", starts: "Positions", ends: "Positions") -> "Hashes":
    """Σ (byte + 1)·BASE^i of each word, modulo 2^64, from running sums."""
    import numpy as np

    powers, inverse = _powers(1 << len(text).bit_length())
    sums = np.zeros(len(text) + 1, dtype=np.uint64)
    terms = (text + np.uint64(1)) * powers[: len(text)]
    np.cumsum(terms, out=sums[1:])
    words: Hashes = _mixed((sums[ends] - sums[starts]) * inverse[starts])
    return words


@lru_cache(maxsize=1)
def _powers(n: int) -> "tuple[Hashes, Hashes]":
    """BASE^i and BASE^−i modulo 2^64 for i < n."""
    import numpy as np

    found = []
    for base in (_BASE, pow(_BASE, -1, 2**64)):
        factors = np.full(n, base, dtype=np.uint64)
        factors[0] = 1
        found.append(np.cumprod(factors))
    return found[0], found[1]


def _mixed(x: "Hashes") -> "Hashes":
    import numpy as np

    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def kept(hashes: "Hashes", documents: "Positions") -> "npt.NDArray[np.bool_]":
    """Which grams winnowing keeps: the least (last of equals) of every WINDOW within a document."""
    import numpy as np

    keep = np.zeros(len(hashes), dtype=bool)
    if len(hashes) >= WINDOW:
        windows = np.lib.stride_tricks.sliding_window_view(hashes[::-1], WINDOW)
        at = np.arange(len(windows)) + windows.argmin(axis=1)
        within = documents[::-1][: len(windows)] == documents[::-1][WINDOW - 1 :]
        keep[len(hashes) - 1 - at[within]] = True
    counts = np.bincount(documents) if len(documents) else np.zeros(0, dtype=np.int64)
    if len(documents):
        keep |= counts[documents] < WINDOW  # too short for a window: all of its grams
    return keep


def decoded(
    mix: Opened, number: int, rows: Any, vocabulary: Vocabulary
) -> "Iterator[tuple[int, Bytes, Positions]]":
    """
    The texts of shard `number` a lot at a time: first row of the lot, bytes, where texts begin.

    EOS and BOS are left out of the words by standing for one blank.
    """
    import numpy as np

    special = mix.content["tokenizer"]
    blanked = vocabulary.with_blanks([special[n]["id"] for n in ("eos", "bos") if n in special])
    ids = mix.ids(number)
    ends = np.cumsum(rows["n_tokens"].to_numpy().astype(np.int64))
    first = 0
    while first < len(ends):
        begin = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, begin + BLOCK, side="right")))
        text, edges = blanked.decode(np.asarray(ids[begin : int(ends[last - 1])]))
        yield first, text, np.concatenate([[0], edges[ends[first:last] - begin]])
        first = last


def index(mix: Opened, vocabulary: Vocabulary, progress: Progress = silent) -> Path:
    """
    The folder of the mix's index, built on first use: per shard its kept grams and their rows.

    `<number>.hashes.npy` (uint64, sorted) and `<number>.rows.npy` (uint32, row within the shard).
    The index is outside the mix, named by its `content_id`.
    """
    import numpy as np

    folder = cache_folder() / f"{mix.manifest['content_id'][:32]}-{FORMAT}"
    done = folder / "done"
    if done.is_file():
        return folder
    spans = collected(mix.spans().select("shard", "n_tokens"))
    with progress("indexing texts", mix.content["n_tokens"] * mix.width) as advance:
        first_row = 0
        for number, shard in enumerate(mix.shards):
            rows = spans[first_row : first_row + shard["n_spans"]]
            found: list[tuple[Hashes, Positions]] = []
            for first, text, edges in decoded(mix, number, rows, vocabulary):
                hashes, documents = grams(text, edges)
                keep = kept(hashes, documents)
                found.append((hashes[keep], documents[keep] + first))
            hashes = np.concatenate([h for h, _ in found])
            order = np.argsort(hashes, kind="stable")
            places = np.concatenate([d for _, d in found])[order].astype(np.uint32)
            for name, array in (("hashes", hashes[order]), ("rows", places)):
                path = folder / f"{number:05d}.{name}.npy"
                with files.replacing(path) as temporary, open(temporary, "wb") as file:
                    np.save(file, array)
            first_row += shard["n_spans"]
            advance(shard["n_tokens"] * mix.width)
    files.write_bytes(done, b"")
    return folder


def candidates(folder: Path, mix: Opened, hashes: "Hashes") -> dict[int, int]:
    """Row of the mix → how many of these grams its text has kept."""
    import numpy as np

    wanted = np.unique(hashes)
    counts: dict[int, int] = {}
    first_row = 0
    for number, shard in enumerate(mix.shards):
        stored = np.load(folder / f"{number:05d}.hashes.npy", mmap_mode="r")
        rows = np.load(folder / f"{number:05d}.rows.npy", mmap_mode="r")
        low = np.searchsorted(stored, wanted, side="left")
        high = np.searchsorted(stored, wanted, side="right")
        for a, b in zip(low.tolist(), high.tolist(), strict=True):
            for row in np.unique(rows[a:b]).tolist():
                counts[first_row + row] = counts.get(first_row + row, 0) + 1
        first_row += shard["n_spans"]
    return counts
