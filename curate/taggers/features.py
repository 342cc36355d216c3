"""
Turn lines into the words, pieces of words and pairs of words that fastText counts in them.

A word is known by its bytes; a piece of 4 or 5 characters of `<word>` and a pair of neighbours by
fastText's hash of it (`computeSubwords`, `addWordNgrams` and `hash` of its `Dictionary`, version
0.9). A line ends with the word `</s>`, which has no pieces.

    >>> found = counted(["you fool", "you"])
    >>> found.words, len(found.marks)  # <you you> <you>, <foo fool ool> <fool fool>, three pairs
    (['you', 'fool', '</s>'], 11)
    >>> found.starts.tolist(), len(found.of)  # 3 words, 8 pieces, 2 pairs; then 2, 3 and 1
    ([0, 13], 19)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

END = "</s>"
SHORTEST, LONGEST = 4, 5  # characters of a piece
BUCKETS = 1 << 30
"""Pieces and pairs are told apart by that many numbers: as good as never are two the same."""

_FNV_START, _FNV_FACTOR, _PAIR_FACTOR = 2166136261, 16777619, 116049371


class Counted(NamedTuple):
    """What n lines hold: features below `len(words)` are words, then come `marks` (ascending)."""

    words: list[str]
    marks: "Ints"
    of: "Ints"  # the feature at each place, line by line
    starts: "Ints"  # the place where a line starts, (n,)


def counted(lines: Sequence[str]) -> Counted:
    """The features of n lines, none of them left out."""
    import numpy as np

    numbers: dict[str, int] = {}
    places: list[int] = []
    starts = []
    for line in lines:
        starts.append(len(places))
        places += [numbers.setdefault(word, len(numbers)) for word in (*line.split(), END)]
    names, words = list(numbers), np.array(places, np.int64)
    each = [_pieces(name) for name in names]
    n_pieces = np.array([len(marks) for marks in each], np.int64)
    pieces = np.array([mark for marks in each for mark in marks], np.int64)
    paired = words != numbers[END]  # with the word after it
    pairs = _pairs(np.array([hashed(name) for name in names], np.int64)[words])[paired[:-1]]
    marks, order = np.unique(np.concatenate([pieces, pairs]), return_inverse=True)
    order += len(names)

    # Of each word in turn: itself, its pieces, its pair.
    lengths = 1 + n_pieces[words] + paired
    after = np.cumsum(lengths)
    at = after - lengths
    of = np.empty(int(after[-1]), np.int64)
    of[at] = words
    own = n_pieces[words]
    within = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
    first = (np.cumsum(n_pieces) - n_pieces)[words]
    of[np.repeat(at + 1, own) + within] = order[np.repeat(first, own) + within]
    of[after[paired] - 1] = order[len(pieces) :]
    return Counted(names, marks, of, at[np.array(starts, np.int64)])


def hashed(text: str) -> int:
    """fastText's hash, as a signed number of 32 bits."""
    made = _FNV_START
    for byte in text.encode():
        # The library takes bytes as signed: one from 128 on flips the upper bits too.
        made = (made ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * _FNV_FACTOR & 0xFFFFFFFF
    return made - (1 << 32) if made >> 31 else made


def _pieces(word: str) -> list[int]:
    if word == END:
        return []
    whole = f"<{word}>"
    return [
        (hashed(whole[start : start + n]) & 0xFFFFFFFF) % BUCKETS
        for start in range(len(whole))
        for n in range(SHORTEST, LONGEST + 1)
        if start + n <= len(whole)
    ]


def _pairs(hashes: "Ints") -> "Ints":
    """The mark of each word and the next, by their hashes."""
    import numpy as np

    wide = hashes.astype(np.uint64)
    with np.errstate(over="ignore"):
        joined = (wide[:-1] * np.uint64(_PAIR_FACTOR) + wide[1:]) % np.uint64(BUCKETS)
    made: Ints = joined.astype(np.int64)
    return made
