"""
Turn the question "does this model load, and does it still say what it said?" into yes or an error.

A damaged fastText file can hang or kill the process that loads it, so it is parsed first
(`fasttext_file`) and then loaded by a child with limits on memory, time and files. The child scores
a few sentences: the golden ones of the model's card, which must come out as recorded, or our own,
of which only sane numbers are asked. The parent sees an exit code and a line of JSON.

    python -m curate.taggers.probe < request.json
"""

import json
import os
import subprocess
import sys
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from curate.errors import CurateError, InputError, IntegrityError
from curate.taggers import fasttext_file

SENTENCES = (
    "The library opens at nine and closes at noon on Saturdays.",
    "You are a fool and everything you say is silly.",
    "Bonjour, je voudrais un café, s'il vous plaît.",
    "12 34 56 !!! ??? \U0001f600",
    "",
)
"""What a model without a card is tried on."""

TOLERANCE = 1e-4
"""Largest difference to a golden score: vector instructions differ between processors."""

_BASE_BYTES = 3 << 30  # address space of an interpreter with numpy, polars and fastText
_BASE_SECONDS = 20
_BYTES_PER_SECOND = 5 << 20  # slowest loading that still counts as loading


def probe(path: Path, *, normalise: str, card: dict[str, Any]) -> list[str]:
    """
    Labels of the fastText model at `path`, which was loaded and tried in a child.

    Raises InputError if it is no model (or its child died or ran out of its limits), IntegrityError
    if it loads but does not give the golden scores of its card.
    """
    n_bytes = path.stat().st_size
    if n_bytes == 0:
        raise InputError(f"{path.name} is empty")
    with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        fasttext_file.header(data)
    seconds = _BASE_SECONDS + n_bytes // _BYTES_PER_SECOND
    golden = card.get("golden", [])
    request = {
        "path": str(path),
        "normalise": normalise,
        "texts": [each["text"] for each in golden] or list(SENTENCES),
        "bytes": _BASE_BYTES + 4 * n_bytes,
        "seconds": seconds,
    }
    try:
        child = subprocess.run(
            [sys.executable, "-m", "curate.taggers.probe"],
            input=json.dumps(request).encode(),
            capture_output=True,
            env={**os.environ, "POLARS_MAX_THREADS": "1"},
            timeout=6
            * seconds,  # the child's own limit counts processor time; a busy machine is slow
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{path.name} did not load within {6 * seconds} seconds") from None
    if child.returncode != 0:
        raise InputError(
            f"{path.name} cannot be loaded",
            details=[f"the process that tried it ended with {child.returncode}"],
        )
    answer = json.loads(child.stdout)
    if "error" in answer:
        raise InputError(answer["error"])
    _judge(path.name, answer, card)
    labels: list[str] = answer["labels"]
    return labels


def _judge(name: str, answer: dict[str, Any], card: dict[str, Any]) -> None:
    if answer["scores"] != answer["again"]:
        raise IntegrityError(f"{name} scores the same text differently each time")
    for row in answer["scores"]:
        if not all(0 <= value <= 1 for value in row):  # a NaN compares false
            raise IntegrityError(f"{name} gives numbers that are not probabilities")
    if "golden" not in card:
        return
    if card["label"] not in answer["labels"]:
        raise IntegrityError(f'{name} has no label "{card["label"]}", which its card says it has')
    column = answer["labels"].index(card["label"])
    for each, row in zip(card["golden"], answer["scores"], strict=True):
        if abs(float(each["score"]) - row[column]) > TOLERANCE:
            raise IntegrityError(
                f"{name} does not give the scores of its card",
                details=[f"recorded {each['score']}, found {row[column]:.6f}"],
                hint="Get the model again; its digest is in the card.",
            )


def main() -> None:
    """The child: answers one request on stdin by one line of JSON on stdout."""
    import resource

    request = json.load(sys.stdin)
    for limit, most in (
        (resource.RLIMIT_AS, request["bytes"]),
        (resource.RLIMIT_CPU, request["seconds"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))

    import polars as pl

    from curate.taggers.fasttext import FastText

    try:
        model = FastText(Path(request["path"]), request["normalise"])
        texts = pl.Series("text", request["texts"], dtype=pl.String)
        tables = [[model.scores(texts, label).tolist() for label in model.labels] for _ in range(2)]
    except CurateError as error:
        json.dump({"error": error.message}, sys.stdout)
        return
    scores, again = ([list(row) for row in zip(*table, strict=True)] for table in tables)
    json.dump({"labels": model.labels, "scores": scores, "again": again}, sys.stdout)


if __name__ == "__main__":
    main()
