"""
Turn weights of words and of buckets into the file of a fastText model of two labels.

The layout is that of `fasttext_file`, dim 1 and not quantized. The library averages the numbers of
a line's words, pieces and pairs, so that P(label) = 1 / (1 + exp(−mean)); a word that is not among
`words` has no number of its own and still its pieces and pairs.

    >>> import numpy as np
    >>> built({"</s>": -1.0, "fool": 4.0}, np.zeros(9), labels=("toxic", "clean"))[:8].hex()
    'ba164f2f0c000000'
"""

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from curate.taggers.fasttext_file import MAGIC, VERSION
from curate.taggers.features import LONGEST, SHORTEST

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PREFIX = "__label__"
_SOFTMAX, _SUPERVISED = 3, 3
_WINDOW, _EPOCHS, _NEGATIVE, _RATE_UPDATES, _SAMPLED = 5, 5, 5, 100, 1e-4  # not used by predict
_WHOLE = -1  # entries of the pruning table of a model that is not pruned


def built(
    words: Mapping[str, float],
    buckets: "npt.NDArray[np.floating]",
    *,
    labels: tuple[str, str],
) -> bytes:
    """
    The file: P(labels[0]) grows with the weights.

    The library finds the words fastest that come first.
    """
    import numpy as np

    rows = np.concatenate([list(words.values()), buckets]).astype("<f4")
    entries = [(name, 0) for name in words] + [(PREFIX + label, 1) for label in labels]
    return b"".join(
        (
            struct.pack("<ii", MAGIC, VERSION),
            struct.pack(
                "<12id", 1, _WINDOW, _EPOCHS, 1, _NEGATIVE, 2, _SOFTMAX, _SUPERVISED,
                len(buckets), SHORTEST, LONGEST, _RATE_UPDATES, _SAMPLED,
            ),
            struct.pack("<iiiqq", len(entries), len(words), 2, len(entries), _WHOLE),
            *(name.encode() + struct.pack("<xqb", 1, kind) for name, kind in entries),
            struct.pack("<?qq", False, len(rows), 1),
            rows.tobytes(),
            struct.pack("<?qq", False, 2, 1),
            np.array([0.5, -0.5], "<f4").tobytes(),
        )
    )  # fmt: skip
