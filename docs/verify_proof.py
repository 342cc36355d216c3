"""
Check a proof that a document is in a mix, or is not: `python verify_proof.py PROOF MANIFEST`.

Needs Python only. The proof is from `curate prove`, the manifest from whoever published the mix;
that its `id` is the published one is for the reader to compare. Tree: RFC 6962; leaf: key (16
bytes) and sha256 of the document's span digests (docs/format.md §5.6).
"""

import hashlib
import json
import pathlib
import sys


def sha(data: bytes) -> bytes:
    """Sha256."""
    return hashlib.sha256(data).digest()


def climb(leaf: dict, n: int) -> str:
    """The root that a leaf and its path lead to in a tree of n leaves; what is wrong if none."""
    at, key, path = leaf["index"], bytes.fromhex(leaf["key"]), list(leaf["path"])
    if type(at) is not int or not 0 <= at < n or len(key) != 16:
        return "no such leaf"
    node = sha(b"\0" + key + sha(bytes.fromhex("".join(leaf["span_digests"]))))
    while n > 1:
        if at ^ 1 < n:
            side = bytes.fromhex(path.pop(0)) if path else b""
            node = sha(b"\1" + (side + node if at & 1 else node + side))
        at, n = at // 2, (n + 1) // 2
    return "the path is too long" if path else node.hex()


def check(proof: dict, manifest: dict) -> str:
    """What is wrong; empty if the proof holds."""
    rest = {name: value for name, value in manifest.items() if name != "id"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if not sha(text.encode()).hex() == manifest["id"] == proof["manifest_id"]:
        return "the manifest is not the one that the proof is about"
    root, n = manifest["content"]["merkle_root"], manifest["content"]["n_documents"]
    document, key = proof["document"], bytes.fromhex(proof["key"])
    if document != f"key:{key.hex()}" and key != sha(document.encode())[:16]:
        return "the key is not that of the document"
    if any(climb(leaf, n) != root for leaf in proof["leaves"]):
        return "a leaf does not lead to the root"
    leaves = [(bytes.fromhex(leaf["key"]), leaf["index"]) for leaf in proof["leaves"]]
    if proof["claim"] == "present":
        return "" if [k for k, _ in leaves] == [key] else "the leaf is of another document"
    # Absent: no leaf fits between the last one below the key and the first one above it.
    low = max([place for k, place in leaves if k < key], default=-1)
    high = min([place for k, place in leaves if k > key], default=n)
    absent = proof["claim"] == "absent" and high == low + 1 and key not in dict(leaves)
    return "" if absent else "the leaves are not neighbours around the key"


if __name__ == "__main__":
    wrong = check(*(json.loads(pathlib.Path(name).read_bytes()) for name in sys.argv[1:3]))
    print(wrong or "the proof holds")
    sys.exit(3 if wrong else 0)
