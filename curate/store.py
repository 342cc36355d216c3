"""
Turn declarations into folders of the store, and finished work into receipts.

    <store>/documents/<source>@<fp>/<part>.parquet
    <store>/tags/<source>@<fp>/<tagger>@<fp>/<part>.parquet
    <store>/tokens/<source>@<fp>/<tokenizer>@<fp>/<part>.{ids,parquet}
    <store>/plans/<recipe>@<fp>/…

`<fp>` is the fingerprint of what was declared (options and the stage's FORMAT number). A task is
done when its receipt, written last, is there:

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> read_receipt(folder, "part-00000") is None
    True
    >>> write_receipt(folder, "part-00000", {"n_documents": 3})
    >>> read_receipt(folder, "part-00000")
    {'n_documents': 3}
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate import files
from curate.errors import BusyError


@dataclass(frozen=True)
class Store:
    """The folder that holds every intermediate result."""

    root: Path

    def documents(self, source: str, fp: str) -> Path:
        """Folder of the documents parts of a source as declared."""
        return self.root / "documents" / f"{source}@{fp}"

    def tags(self, source: str, fp: str, tagger: str, tagger_fp: str) -> Path:
        """Folder of a tagger's columns about a source."""
        return self.root / "tags" / f"{source}@{fp}" / f"{tagger}@{tagger_fp}"

    def tokens(self, source: str, fp: str, tokenizer: str, tokenizer_fp: str) -> Path:
        """Folder of the token pool of a source."""
        return self.root / "tokens" / f"{source}@{fp}" / f"{tokenizer}@{tokenizer_fp}"

    def plans(self, recipe: str, fp: str) -> Path:
        """Folder of the plan of a recipe over particular parts."""
        return self.root / "plans" / f"{recipe}@{fp}"

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """Hold the store for writing; waits for another holder unless `wait` is False."""
        files.make_folder(self.root)
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise BusyError(
                    "the store is in use by another curate",
                    hint="Leave out --no-wait to wait for it, or name another --store.",
                ) from None
            yield
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class Part:
    """One part of one source: the files that hold its rows, all in the same order."""

    source: str
    name: str  # `<first 16 hex of the input's sha256>-<00017>`
    documents: Path
    tags: tuple[Path, ...]
    pool: Path  # Parquet: one row per document or piece
    ids: Path  # raw little-endian token ids


def part_name(input_sha256: str, number: int) -> str:
    """Name of the n-th part (from 0) of an input file."""
    return f"{input_sha256[:16]}-{number:05d}"


def receipt_path(folder: Path, task: str) -> Path:
    """Where the receipt of a task lies: beside its outputs."""
    return folder / f"{task}.receipt.json"


def write_receipt(folder: Path, task: str, facts: dict[str, Any]) -> None:
    """Say that a task is done, with what it counted. Call it after everything else is durable."""
    record = {**facts, "finished": int(time.time())}
    files.write_bytes(
        receipt_path(folder, task), json.dumps(record, indent=1, sort_keys=True).encode()
    )


def read_receipt(folder: Path, task: str) -> dict[str, Any] | None:
    """The facts a task left, or None if it is not done. The time it finished is left out."""
    try:
        facts: dict[str, Any] = json.loads(receipt_path(folder, task).read_bytes())
    except FileNotFoundError:
        return None
    facts.pop("finished", None)
    return facts
