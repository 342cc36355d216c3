"""
Turn the documents of a mix into one digest that commits to all of them, and into proofs about one.

The tree is that of RFC 6962 §2.1: leaf hash sha256(0x00 ‖ leaf), node sha256(0x01 ‖ left ‖ right),
split at the largest power of two; a leaf is a document's key (16 bytes) and the sha256 of its span
digests in stream order (32 bytes), sorted by key (docs/format.md §5.6).

    >>> a, b, c = (leaf_hash(bytes([n]) * 48) for n in range(3))
    >>> root([a, b, c]) == node_hash(node_hash(a, b), c)
    True
    >>> path(levels([a, b, c]), 1) == [a, c]
    True
"""

import hashlib
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of a leaf, 32 bytes."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node, 32 bytes."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """The root over n leaf hashes; of no leaves sha256 of nothing (RFC 6962 §2.1)."""
    return levels(hashes)[-1][0] if hashes else hashlib.sha256().digest()


def levels(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """The tree over n > 0 leaf hashes: the leaves, the nodes above them, …, the root alone."""
    tree = [list(hashes)]
    while len(tree[-1]) > 1:
        tree.append(_above(tree[-1]))
    return tree


def _above(level: Sequence[bytes]) -> list[bytes]:
    """The next level; a last one without a partner moves up as it is."""
    sha256 = hashlib.sha256
    pairs = zip_longest(level[::2], level[1::2])
    return [sha256(b"\1" + a + b).digest() if b is not None else a for a, b in pairs]


def path(tree: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """The audit path of leaf `index`: the sibling hashes from the leaf to the root (§2.1.1)."""
    siblings = []
    for level in tree[:-1]:
        if index ^ 1 < len(level):
            siblings.append(level[index ^ 1])
        index //= 2
    return siblings


def leaves(spans: "pl.DataFrame") -> tuple[list[bytes], list[bytes]]:
    """
    Keys (sorted, distinct) and leaf hashes of a table of spans in stream order.

    `spans` needs the columns `key` and `digest` (Binary, 16 bytes each).
    """
    import numpy as np

    rows = spans.select("key", "digest").sort("key", maintain_order=True)
    if rows.height == 0:
        return [], []
    new = rows["key"] != rows["key"].shift()
    firsts = np.flatnonzero(new.fill_null(True).to_numpy()).tolist()
    keys, digests = rows["key"].to_list(), rows["digest"].to_list()
    if len(firsts) < len(keys):
        ends = [*firsts[1:], rows.height]
        keys = [keys[first] for first in firsts]
        digests = [b"".join(digests[a:b]) for a, b in zip(firsts, ends, strict=True)]
    sha256 = hashlib.sha256
    pairs = zip(keys, digests, strict=True)
    return keys, [sha256(b"\0" + key + sha256(whole).digest()).digest() for key, whole in pairs]
