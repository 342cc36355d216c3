"""
Turn the question "does this model load, and does it still say what it said?" into yes or an error.

A damaged fastText file can hang or kill the process that loads it, so it is parsed first
(`fasttext_file`) and then loaded by a child with limits on memory, time and files. The child scores
a few sentences: the golden ones of the model's card, which must come out as recorded, or our own,
of which only sane numbers are asked. The parent sees an exit code and a line of JSON.

    python -m curate.taggers.probe < declaration.json
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from curate.errors import CurateError, InputError, IntegrityError, MissingExtraError, RecipeError
from curate.taggers import fasttext_file, shelf

SENTENCES = (
    "The library opens at nine and closes at noon on Saturdays.",
    "You are a fool and everything you say is silly.",
    "Bonjour, je voudrais un café, s'il vous plaît.",
    "12 34 56 !!! ??? \U0001f600",
    "\n",
)
"""What a model without a card is tried on."""

TOLERANCE = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.15}
"""Largest difference to a golden score, by precision: processors differ in their vector units."""

_CHILD_ERRORS = (InputError, IntegrityError, RecipeError, MissingExtraError)
_MIB = 1 << 20
_LIMITS = {  # address space and seconds of an interpreter that holds the library
    "fasttext": (3072 * _MIB, 20),
    "language": (3072 * _MIB, 20),
    "detoxify": (32_768 * _MIB, 300),
}
_BYTES_PER_SECOND = 5 * _MIB  # the slowest loading that still counts as loading


def probe(declaration: Mapping[str, Any]) -> None:
    """
    Load and try the model of a declaration in a child.

    Raises InputError if it is no model (or the child died or ran out of its limits), IntegrityError
    if it loads but does not give the golden scores of its card.
    """
    path = shelf.place(declaration)
    if declaration["kind"] in ("fasttext", "language"):
        parsed(path)
    n_bytes = sum(each.stat().st_size for each in shelf.listed(path))
    space, seconds = _LIMITS[declaration["kind"]]
    limits = {"bytes": space + 4 * n_bytes, "seconds": seconds + n_bytes // _BYTES_PER_SECOND}
    try:
        child = subprocess.run(
            [sys.executable, "-m", "curate.taggers.probe"],
            input=json.dumps({"declaration": dict(declaration), **limits}).encode(),
            capture_output=True,
            env={**os.environ, "POLARS_MAX_THREADS": "1", "CURATE_DEVICE": "cpu"},
            timeout=6 * limits["seconds"],  # its own limit counts processor time
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{path.name} did not load within {6 * limits['seconds']} seconds"
        ) from None
    try:
        answer = json.loads(child.stdout)
    except ValueError:
        answer = None
    if child.returncode != 0 or answer is None:
        raise InputError(
            f"{path.name} cannot be loaded",
            details=[f"the process that tried it ended with {child.returncode}"],
        )
    for kind in _CHILD_ERRORS:
        if answer.get("code") == kind.code:
            raise kind(answer["message"], details=answer["details"], hint=answer["hint"])


def parsed(path: Path) -> fasttext_file.Header:
    """The header of a fastText file; InputError if it is not one."""
    if path.is_dir() or path.stat().st_size == 0:
        raise InputError(f"{path.name} is not a fastText model: it is a folder or empty")
    with open(path, "rb") as file:
        # Not closed by hand: an error's traceback still holds views of it.
        data = mmap(file.fileno(), 0, access=ACCESS_READ)
    return fasttext_file.header(data)


def judged(declaration: Mapping[str, Any]) -> Any:
    """
    The tagger of a declaration, loaded in this process, if it scores as it should.

    It must give the golden scores of its card; without a card, the same probabilities twice.
    """
    import polars as pl

    from curate.taggers import work

    tagger = work.loaded(declaration)
    if declaration["kind"] not in _LIMITS:
        return tagger
    whole = work.loaded({**declaration, "granularity": "document"}, like=tagger)
    golden = shelf.card(shelf.place(declaration)).get("golden", [])
    texts = [each["text"] for each in golden] or list(SENTENCES)
    tags = [whole.tag(pl.DataFrame({"text": texts})) for _ in range(2)]
    name = shelf.name_of(declaration)
    for column in tags[0].select(pl.col(pl.Float32)):
        if not column.is_between(0, 1).all() or column.is_nan().any():
            raise IntegrityError(f"{name} gives numbers that are not probabilities")
    if not tags[0].equals(tags[1]):
        raise IntegrityError(f"{name} scores the same text differently each time")
    tolerance = TOLERANCE[declaration.get("precision", "fp32")]
    for each, found in zip(golden, tags[0][declaration["name"]].to_list(), strict=False):
        if abs(float(each["score"]) - found) > tolerance:
            raise IntegrityError(
                f"{name} does not give the scores of its card",
                details=[f"recorded {each['score']}, found {found:.6f}"],
                hint="Get the model again; its digest is in the card.",
            )
    return tagger


def main() -> None:
    """The child: answers one request on stdin by one line of JSON on stdout."""
    import resource

    request = json.load(sys.stdin)
    for limit, most in (
        (resource.RLIMIT_AS, request["bytes"]),
        (resource.RLIMIT_CPU, request["seconds"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _MIB),  # torch wants to see that it could write
    ):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    answer: dict[str, Any] = {}
    try:
        judged(request["declaration"])
    except CurateError as error:
        answer = error.as_json()["error"]  # type: ignore[assignment]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
