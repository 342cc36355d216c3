"""
Turn token ids back into the bytes they stand for, a whole shard at a time.

Byte-level vocabularies (GPT-2's, and most since) give every id a fixed string of bytes, so that
decoding is a gather; whether the bytes are the document's own depends on the normaliser, which
`Vocabulary.normaliser` tells. Source of the byte table: the GPT-2 encoder.

    >>> byte_of("Ġ"), byte_of("a"), byte_of("Ń")
    (32, 97, 173)
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import IntegrityError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_STRANGE = [byte for byte in range(256) if byte not in _PRINTABLE]
_BYTES: dict[str, int] = {chr(byte): byte for byte in _PRINTABLE} | {
    chr(256 + n): byte for n, byte in enumerate(_STRANGE)
}


def byte_of(character: str) -> int:
    """The byte that a character of a byte-level vocabulary stands for."""
    return _BYTES[character]


@dataclass(frozen=True)
class Vocabulary:
    """
    What a tokenizer.json says about decoding.

    `lengths` (int64, per id) and `table` (uint8, all ids' bytes back to back) are empty where the
    vocabulary is not byte-level; then nothing can be decoded here.
    """

    n_ids: int
    ids: dict[str, int]
    normaliser: str  # "" for none, else its type as tokenizer.json names it
    lengths: "npt.NDArray[np.int64]"
    table: "npt.NDArray[np.uint8]"

    @property
    def byte_level(self) -> bool:
        """Whether ids can be decoded."""
        return len(self.lengths) > 0

    def with_blanks(self, ids: "list[int]") -> "Vocabulary":
        """The same vocabulary with these ids standing for one blank."""
        import numpy as np

        ends = np.cumsum(self.lengths).tolist()
        starts = [0, *ends[:-1]]
        table = self.table.tobytes()
        pieces = [table[a:b] for a, b in zip(starts, ends, strict=True)]
        for id_ in ids:
            pieces[id_] = b" "
        lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
        joined = np.frombuffer(b"".join(pieces), np.uint8)
        return Vocabulary(self.n_ids, self.ids, self.normaliser, lengths, joined)

    def decode(
        self, ids: "npt.NDArray[np.unsignedinteger[Any]]"
    ) -> "tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]":
        """
        The bytes of n ids back to back (uint8); where each id's begin, and the end (int64, n+1).

        Ids outside the vocabulary stand for nothing.
        """
        import numpy as np

        known = np.where(ids < len(self.lengths), ids, 0).astype(np.int64)
        lengths = np.where(ids < len(self.lengths), self.lengths[known], 0)
        ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        first = (np.cumsum(self.lengths) - self.lengths)[known]
        gather = np.repeat(first - ends[:-1], lengths) + np.arange(ends[-1])
        return self.table[gather], ends


def read(path: Path) -> Vocabulary:
    """The vocabulary of a tokenizer.json; IntegrityError if it is not one."""
    try:
        return parse(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(
            f"{path.name} is not a tokenizer", details=[f"{type(error).__name__}: {error}"]
        ) from None


def parse(whole: dict[str, Any]) -> Vocabulary:
    """The vocabulary in a parsed tokenizer.json."""
    import numpy as np

    ids: dict[str, int] = {}
    model = whole["model"]
    plain = model["vocab"]
    if isinstance(plain, list):  # Unigram: a piece's place is its id
        plain = {piece: id_ for id_, (piece, _) in enumerate(plain)}
    added = {token["content"]: int(token["id"]) for token in whole.get("added_tokens") or []}
    ids.update(plain)
    ids.update(added)
    n_ids = max(ids.values(), default=-1) + 1
    normaliser = (whole.get("normalizer") or {}).get("type", "")
    if (whole.get("decoder") or {}).get("type") != "ByteLevel" or model.get("type") != "BPE":
        nothing = np.empty(0, dtype=np.int64)
        return Vocabulary(n_ids, ids, normaliser, nothing, np.empty(0, dtype=np.uint8))
    pieces = [b""] * n_ids
    for token, id_ in plain.items():
        pieces[id_] = bytes(byte_of(character) for character in token if character in _BYTES)
    for token, id_ in added.items():
        pieces[id_] = token.encode()
    lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
    return Vocabulary(n_ids, ids, normaliser, lengths, np.frombuffer(b"".join(pieces), np.uint8))
