"""
Turn a mix into a proof that a document is in it, or that it is not, for people who have neither.

A proof holds leaves and their audit paths (RFC 6962 §2.1.1); whoever has the manifest, and trusts
its `id`, checks it with `docs/verify_proof.py`, which needs nothing but Python. Absence is two
neighbours in the order of keys, or the first or last leaf.
"""

from typing import TYPE_CHECKING, Any

from curate.audit import merkle
from curate.audit.opened import Opened, collected
from curate.document import key as key_of
from curate.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    import polars as pl

FORMAT = "curate-proof/1"


def prove(mix: Opened, identifier: str) -> dict[str, Any]:
    """
    The proof about one id (or 32 hex digits of a key): `claim` is "present" or "absent".

    Raises IntegrityError if the spans do not lead to the manifest's Merkle root.
    """
    key = _key(identifier)
    spans = collected(mix.spans().select("key", "digest"))
    keys, hashes = merkle.leaves(spans)
    tree = merkle.levels(hashes)
    if (tree[-1][0] if hashes else merkle.root([])).hex() != mix.content["merkle_root"]:
        raise IntegrityError(
            "the spans do not lead to the manifest's Merkle root",
            hint="Run curate verify --all to see what was changed.",
        )
    index = _first_at_least(keys, key)
    present = index < len(keys) and keys[index] == key
    if present:
        proven = [index]
    else:
        proven = [n for n in (index - 1, index) if 0 <= n < len(keys)]
    return {
        "format": FORMAT,
        "mix": mix.manifest["name"],
        "version": mix.manifest["version"],
        "manifest_id": mix.manifest["id"],
        "merkle_root": mix.content["merkle_root"],
        "n_documents": len(keys),
        "document": identifier,
        "key": key.hex(),
        "claim": "present" if present else "absent",
        "leaves": [_leaf(spans, keys[n], n, tree) for n in proven],
    }


def _key(identifier: str) -> bytes:
    text = identifier.removeprefix("key:")
    if text != identifier:
        if len(text) != 32 or not set(text) <= set("0123456789abcdef"):
            raise UsageError("a key is key: and 32 hex digits")
        return bytes.fromhex(text)
    return key_of(identifier)


def _first_at_least(keys: list[bytes], key: bytes) -> int:
    from bisect import bisect_left

    return bisect_left(keys, key)


def _leaf(spans: "pl.DataFrame", key: bytes, index: int, tree: list[list[bytes]]) -> dict[str, Any]:
    import polars as pl

    own = spans.filter(pl.col("key") == key)["digest"].to_list()
    return {
        "index": index,
        "key": key.hex(),
        "span_digests": [digest.hex() for digest in own],
        "path": [step.hex() for step in merkle.path(tree, index)],
    }
