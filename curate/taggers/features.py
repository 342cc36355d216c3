"""
Turn lines into the words, pieces of words and pairs of words that fastText counts in them.

A word is known by its bytes; a piece of 4 or 5 characters of `<word>` and a pair of neighbours by
fastText's hash of it (`computeSubwords`, `addWordNgrams` and `hash` of its `Dictionary`, version
0.9). A line ends with the word `</s>`, which has no pieces.

    >>> found = counted(["you fool", "you"], buckets=1000)
    >>> found.words  # features 0, 1 and 2; a piece or pair is 3 and its hash modulo 1,000
    ['you', 'fool', '</s>']
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
_FNV_START, _FNV_FACTOR, _PAIR_FACTOR = 2166136261, 16777619, 116049371


class Counted(NamedTuple):
    """What n lines hold: features below `len(words)` are words, then come the buckets."""

    words: list[str]
    of: "Ints"  # the feature at each place, line by line
    starts: "Ints"  # the place where a line starts, (n,)


def counted(lines: Sequence[str], *, buckets: int) -> Counted:
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
    n_pieces = np.array([len(hashes) for hashes in each], np.int64)
    pieces = np.array([made for hashes in each for made in hashes], np.int64) % buckets
    paired = words != numbers[END]  # with the word after it
    hashes = np.array([hashed(name) for name in names], np.int64)[words]

    # Of each word in turn: itself, its pieces, its pair.
    lengths = 1 + n_pieces[words] + paired
    after = np.cumsum(lengths)
    at = after - lengths
    of = np.empty(int(after[-1]), np.int64)
    of[at] = words
    own = n_pieces[words]
    within = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
    first = (np.cumsum(n_pieces) - n_pieces)[words]
    of[np.repeat(at + 1, own) + within] = len(names) + pieces[np.repeat(first, own) + within]
    of[after[paired] - 1] = len(names) + _pairs(hashes, buckets)[paired[:-1]]
    return Counted(names, of, at[np.array(starts, np.int64)])


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
        hashed(whole[start : start + n]) & 0xFFFFFFFF
        for start in range(len(whole))
        for n in range(SHORTEST, LONGEST + 1)
        if start + n <= len(whole)
    ]


def _pairs(hashes: "Ints", buckets: int) -> "Ints":
    """The bucket of each word and the next, by their hashes."""
    import numpy as np

    wide = hashes.astype(np.uint64)
    with np.errstate(over="ignore"):
        joined = (wide[:-1] * np.uint64(_PAIR_FACTOR) + wide[1:]) % np.uint64(buckets)
    made: Ints = joined.astype(np.int64)
    return made
