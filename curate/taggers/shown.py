"""
Turn a model into what can be said of it: digest, labels, card, and whether it keeps its word.

    >>> from curate.taggers import shelf
    >>> shown(shelf.located("builtin:toxicity"))["labels"]
    ['toxic', 'clean']
"""

from pathlib import Path
from typing import Any

from curate.taggers import checkpoint, probe, shelf
from curate.taggers.declaration import declare


def shown(path: Path) -> dict[str, Any]:
    """Facts of a model file or folder; it is loaded in a child and its golden scores compared."""
    card = shelf.card(path)
    made: dict[str, Any] = {
        "file": path.name,
        "sha256": shelf.digest(path),
        "bytes": sum(each.stat().st_size for each in shelf.listed(path)),
    }
    if path.is_dir():
        network, made["heads"] = checkpoint.described(path)
        made |= {"kind": "detoxify", "network": network}
        options: dict[str, object] = {"model": str(path), "kind": "detoxify"}
    else:
        header = probe.parsed(path)
        labels = [label.removeprefix("__label__") for label in header.labels]
        made |= {
            "kind": "fasttext",
            "labels": labels,
            "dim": header.dim,
            "loss": header.loss,
            "n_words": header.n_words,
            "word_ngrams": header.word_ngrams,
            "character_ngrams": [header.minn, header.maxn],
            "quantized": header.quantized,
        }
        options = {"model": str(path), "kind": "fasttext", "label": card.get("label", labels[0])}
    probe.probe(declare("model", options, where="here"))
    made["golden"] = len(card.get("golden", []))
    return {**made, "card": {k: v for k, v in card.items() if k not in ("metrics", "golden")}}


def lines(facts: dict[str, Any]) -> list[str]:
    """`shown` as people read it."""
    card = facts["card"]
    said = [f"{key:<18}{value}" for key, value in facts.items() if key not in ("card", "golden")]
    said += [f"{key:<18}{value}" for key, value in card.items() if key not in facts]
    golden = facts["golden"]
    tried = f"{golden} golden scores reproduced" if golden else "loads; no card to hold it to"
    return [*said, f"{'tried':<18}{tried}"]
