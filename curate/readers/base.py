"""
Turn what readers see into counts that add up.

Every record of an input is a document, a counted skip, or a rejected record kept with its place
and raw bytes. A `Tally` counts them and writes the rejected ones:

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with Tally("0123456789abcdef", folder / "rejected.jsonl.zst") as tally:
    ...     tally.n_records += 3
    ...     tally.skip("no-text", 1)
    ...     tally.reject(offset=40, line=3, reason="not-json", raw=b"{oops")
    >>> tally.skipped, tally.rejected, tally.n_bytes_rejected
    (Counter({'no-text': 1}), Counter({'not-json': 1}), 5)
"""

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

import orjson

from curate import files
from curate.readers.reasons import REJECTED, SKIPPED

if TYPE_CHECKING:
    import polars as pl

    from curate.readers.decompress import Stream

Declaration = Mapping[str, Any]
"""A reader's options with every default filled in (`curate.readers.declare`)."""


class Reader(Protocol):
    """What a module under `curate.readers` offers for a `reader = "…"` of a recipe."""

    def columns(self, declaration: Declaration) -> "dict[str, pl.DataType]":
        """Columns beyond `curate.document.SCHEMA_NAMES`, with types; the same for every batch."""
        ...

    def read(
        self, streams: "Sequence[Stream]", declaration: Declaration, tally: "Tally"
    ) -> "Iterator[pl.DataFrame]":
        """
        Yield documents in the order of the dump, and count every record in `tally`.

        `streams` is one, or several that are to be read as one.

        A batch has `id`, `group` (both String: the group's id, null for the document's own) and
        `text` (never empty), `offset`, `n_posts`, and whatever else it knows of the columns of a
        documents table; what is missing is filled with nulls by the writer.
        """
        ...


class Tally:
    """
    Counts of one input, and the file of its rejected records (made only if there are any).

    `facts` holds further counts for the receipt (`posts`: {what: n} of threads).
    """

    def __init__(self, input_name: str, path: Path) -> None:
        self.n_records = 0
        self.skipped: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.n_bytes_rejected = 0
        self.posts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.input = input_name  # of the file that is being read
        self._scratch = path.parent / f"{files.TEMPORARY_PREFIX}{input_name}-scratch"
        self._path = path
        self._open = ExitStack()
        self._file: IO[bytes] | None = None

    def skip(self, reason: str, n: int = 1) -> None:
        """Count `n` records that are not documents and are not meant to be."""
        _check(reason, SKIPPED)
        if n:
            self.skipped[reason] += n

    def reject(
        self, *, offset: int, line: int, reason: str, raw: bytes, n_bytes: int | None = None
    ) -> None:
        """Keep a record that could not be read; `n_bytes` where `raw` is only its beginning."""
        _check(reason, REJECTED)
        self.rejected[reason] += 1
        self.n_bytes_rejected += len(raw) if n_bytes is None else n_bytes
        if self._file is None:
            import zstandard

            temporary = self._open.enter_context(files.replacing(self._path))
            plain = self._open.enter_context(temporary.open("wb"))
            compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
            self._file = self._open.enter_context(compressor.stream_writer(plain))
        entry = {
            "input": self.input,
            "offset": offset,
            "line": line,
            "reason": reason,
            "raw": base64.b64encode(raw).decode(),
        }
        if n_bytes is not None:
            entry["n_bytes"] = n_bytes
        self._file.write(orjson.dumps(entry) + b"\n")

    def scratch(self) -> Path:
        """A folder for what does not fit in memory; it goes when the input has been read."""
        files.make_folder(self._scratch)
        return self._scratch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)
        files.remove(self._scratch)
        if kind is None and self._file is None:
            files.remove(self._path)  # of an earlier, interrupted reading of the same input


def _check(reason: str, known: Mapping[str, str]) -> None:
    if reason not in known:
        raise ValueError(f"{reason!r} is not among the reasons in curate.readers.reasons")
