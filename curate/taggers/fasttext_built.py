"""
Turn weights of words, pieces and pairs of words into the file of a fastText model of two labels.

The layout is that of `fasttext_file`. The library averages the numbers of a line's words, pieces
and pairs, so that P(label) = 1 / (1 + exp(−mean)). Pieces and pairs without a number are left out
of the mean by the file's pruning table, words without one by being unknown. fastText wants the rows
of such a file as one-byte codes: `steps` says which numbers there are.

    >>> built({"</s>": -1.0, "fool": 4.0}, {}, labels=("toxic", "clean"))[:8].hex()
    'ba164f2f0c000000'
"""

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from curate.taggers.fasttext_file import MAGIC, VERSION
from curate.taggers.features import BUCKETS, LONGEST, SHORTEST

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PREFIX = "__label__"
_SOFTMAX, _SUPERVISED = 3, 3
_WINDOW, _EPOCHS, _NEGATIVE, _RATE_UPDATES, _SAMPLED = 5, 5, 5, 100, 1e-4  # not used by predict


def steps(largest: float) -> "npt.NDArray[np.float32]":
    """The 256 numbers of a file, finer near 0: ±(n/127)^1.5 of the next power of two."""
    import numpy as np

    bound = 2.0 ** np.ceil(np.log2(largest))
    at = (np.arange(256) - 128) / 127
    made: npt.NDArray[np.float32] = (np.sign(at) * np.abs(at) ** 1.5 * bound).astype(np.float32)
    return made


def built(
    words: Mapping[str, float], marks: Mapping[int, float], *, labels: tuple[str, str]
) -> bytes:
    """The file: P(labels[0]) grows with the weights. Words and marks are written in order."""
    import numpy as np

    named, hashed = sorted(words.items()), sorted(marks.items())
    weights = np.array([weight for _, weight in (*named, *hashed)])
    numbers = steps(float(np.abs(weights).max()))
    # Each weight to the nearest number: as many of the borders between them lie below it.
    codes = np.searchsorted((numbers[1:] + numbers[:-1]) / 2, weights).astype(np.uint8)
    entries = [(name, 0) for name, _ in named] + [(PREFIX + label, 1) for label in labels]
    return b"".join(
        (
            struct.pack("<ii", MAGIC, VERSION),
            struct.pack(
                "<12id", 1, _WINDOW, _EPOCHS, 1, _NEGATIVE, 2, _SOFTMAX, _SUPERVISED, BUCKETS,
                SHORTEST, LONGEST, _RATE_UPDATES, _SAMPLED,
            ),
            struct.pack("<iiiqq", len(entries), len(named), 2, len(entries), len(hashed)),
            *(name.encode() + struct.pack("<xqb", 1, kind) for name, kind in entries),
            np.array([[mark, row] for row, (mark, _) in enumerate(hashed)], "<i4").tobytes(),
            # Quantized, without norms: one code per row, then the quantizer and its numbers.
            struct.pack("<??qqi", True, False, len(codes), 1, len(codes)),
            codes.tobytes(),
            struct.pack("<iiii", 1, 1, 1, 1),
            numbers.astype("<f4").tobytes(),
            struct.pack("<?qq", False, 2, 1),
            np.array([0.5, -0.5], "<f4").tobytes(),
        )
    )  # fmt: skip
