"""
Turn documents that are too long into pieces that are not.

A piece is cut before a token that begins a character, so that every piece is text again. Its
share of the document's bytes is what its tokens stand for:

    >>> import numpy as np
    >>> starts = np.array([True, True, False, True])  # id 2 continues a character
    >>> cuts(np.array([0, 1, 1, 2, 3], dtype=np.uint32), 3, starts)
    [2]
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from curate.tokenizer import Tokenizer, outline
from curate.tokenizer.tiktoken import byte_alphabet
from curate.tokens.engines import Ids

LONGEST_CHARACTER = 4
"""Bytes of the longest UTF-8 character: a byte-level token that begins one is at most 3 back."""


@dataclass(frozen=True)
class TokenBytes:
    """What each id of a vocabulary stands for, by id."""

    n_bytes: npt.NDArray[np.int64]
    starts: npt.NDArray[np.bool_]  # begins with a whole character or its first byte


@lru_cache(maxsize=2)
def token_bytes(tokenizer: Tokenizer) -> TokenBytes:
    """Number of bytes of every id, and whether it begins a character."""
    encoder = tokenizer.encoder()
    added = encoder.get_added_tokens_decoder()
    byte_level = _is_byte_level(tokenizer)
    n_bytes = np.zeros(tokenizer.n_vocab, dtype=np.int64)
    starts = np.ones(tokenizer.n_vocab, dtype=np.bool_)
    for token, id_ in encoder.get_vocab(with_added_tokens=True).items():
        if id_ in added:
            n_bytes[id_] = len(added[id_].content.encode())
        elif byte_level:
            n_bytes[id_] = len(token)
            starts[id_] = token[:1] not in CONTINUATION
        elif len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            n_bytes[id_] = 1
            starts[id_] = not 0x80 <= int(token[3:5], 16) < 0xC0
        else:
            n_bytes[id_] = len(token.replace("\u2581", " ").encode())
    return TokenBytes(n_bytes, starts)


def cuts(ids: Ids, n_content: int, starts: npt.NDArray[np.bool_]) -> list[int]:
    """Where to cut one document's ids so that no piece has more than `n_content`."""
    found: list[int] = []
    at = n_content
    while at < len(ids):
        back = at
        while back > at - LONGEST_CHARACTER and back > 1 and not starts[ids[back]]:
            back -= 1
        if not starts[ids[back]] or (found and back <= found[-1]):
            back = at
        found.append(back)
        at = back + n_content
    return found


def shares(ids: Ids, at: list[int], n_bytes: int, table: TokenBytes) -> list[int]:
    """
    Bytes of a document behind each of its pieces; they sum to `n_bytes`.

    Exact where the tokens stand for exactly that many bytes; where a normaliser changed the
    text, every border is scaled to the document's bytes and rounded down.
    """
    cumulative = np.concatenate([[0], np.cumsum(table.n_bytes[ids])])
    whole = int(cumulative[-1])
    borders = [0, *(int(cumulative[a]) * n_bytes // max(whole, 1) for a in at), n_bytes]
    return [b - a for a, b in pairwise(borders)]


CONTINUATION = frozenset(byte_alphabet()[byte] for byte in range(0x80, 0xC0))


def _is_byte_level(tokenizer: Tokenizer) -> bool:
    decoder = outline(tokenizer.json).record.get("decoder") or {}
    kinds = [decoder.get("type"), *(d.get("type") for d in decoder.get("decoders") or [])]
    return "ByteLevel" in kinds
