"""
Turn the spans of a mix into one hash over its documents: the root of an RFC 6962 tree.

One leaf per distinct key, in order of keys: the key (16 bytes) and the sha256 of the document's
span digests in stream order. `sha256(0x00 ‖ leaf)` is a leaf's hash, `sha256(0x01 ‖ left ‖ right)`
a node's. The tree is grown from below, level by level, so leaves may come in any number of lots:

    >>> one, two = bytes(48), bytes([1] * 48)
    >>> tree = Tree()
    >>> tree.add([leaf_hash(one)])
    >>> tree.add([leaf_hash(two)])
    >>> from hashlib import sha256
    >>> tree.root() == sha256(b"\\x01" + leaf_hash(one) + leaf_hash(two)).hexdigest()
    True
    >>> Tree().root() == sha256(b"").hexdigest()
    True
"""

from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 6962 §2.1: the hash of a leaf, 32 bytes."""
    return sha256(b"\x00" + leaf).digest()


class Tree:
    """
    A Merkle tree that is fed leaf hashes in order.

    RFC 6962 splits at the largest power of two below the number of leaves. That is the same tree
    as pairing neighbours level by level and lifting a last one without a partner unchanged.
    """

    def __init__(self) -> None:
        self.n_leaves = 0
        self._waiting: list[bytes | None] = []  # per level: a node without a right neighbour yet

    def add(self, nodes: list[bytes]) -> None:
        """Append leaf hashes."""
        self.n_leaves += len(nodes)
        level = 0
        while nodes:
            if level == len(self._waiting):
                self._waiting.append(None)
            waiting = self._waiting[level]
            if waiting is not None:
                nodes = [waiting, *nodes]
            self._waiting[level] = nodes[-1] if len(nodes) % 2 else None
            nodes = [
                sha256(b"\x01" + left + right).digest()
                for left, right in zip(nodes[::2], nodes[1::2], strict=False)
            ]
            level += 1

    def root(self) -> str:
        """The root in hex; of no leaves: sha256 of nothing."""
        found: bytes | None = None
        for node in self._waiting:  # from the smallest subtree to the largest
            if node is not None:
                found = node if found is None else sha256(b"\x01" + node + found).digest()
        return (sha256(b"").digest() if found is None else found).hex()


def leaf_hashes(keys: "npt.NDArray[Any]", digests: "npt.NDArray[Any]") -> list[bytes]:
    """
    Leaf hashes, in order of keys, of n spans in stream order.

    Keys and digests are both (n, 2) big-endian uint64: 16 bytes a row, comparable as numbers.
    """
    import numpy as np

    if len(keys) == 0:
        return []
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: spans of one key stay in stream order
    keys, stream = keys[order], digests[order].tobytes()
    last = np.append((keys[1:] != keys[:-1]).any(axis=1), True)
    ends = ((np.flatnonzero(last) + 1) * 16).tolist()
    names = keys[last].tobytes()
    return [
        sha256(b"\x00" + names[16 * n : 16 * n + 16] + sha256(stream[a:b]).digest()).digest()
        for n, (a, b) in enumerate(pairwise([0, *ends]))
    ]
