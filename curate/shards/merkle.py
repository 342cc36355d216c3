"""
Turn the spans of a mix into one hash over its documents: the root of an RFC 6962 tree.

One leaf per distinct key, in order of keys: the key (16 bytes) and the sha256 of the document's
span digests in stream order. `sha256(0x00 ‖ leaf)` is a leaf's hash, `sha256(0x01 ‖ left ‖ right)`
a node's. The tree is grown from below, level by level, so leaves may come in any number of lots:

    >>> one, two = leaf_hashes([bytes(16), bytes([1] * 16)], [bytes(32), bytes(16)])
    >>> tree = Tree()
    >>> tree.add([one])
    >>> tree.add([two])
    >>> tree.root() == sha256(b"\\x01" + one + two).hexdigest()
    True
    >>> Tree().root() == sha256(b"").hexdigest()
    True
"""

from collections.abc import Iterable
from hashlib import sha256


def leaf_hashes(keys: Iterable[bytes], digests: Iterable[bytes]) -> list[bytes]:
    """RFC 6962 §2.1: hashes of documents' leaves, given the key and the span digests of each."""
    return [
        sha256(b"\x00" + key + sha256(stream).digest()).digest()
        for key, stream in zip(keys, digests, strict=True)
    ]


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
