"""
Turn WARC files (ISO 28500), of pages or of their text (WET), into documents.

A record of type `response` with an HTML page is a document: the text of its body, run by run, as
selectolax (Lexbor) parses it. A record of type `conversion` is a document as it is. All others, and
pages that are no HTML, are skipped and counted by their type. A page that is not in the character
set it declares (UTF-8 where it declares none) is rejected.

Reading is by warcio; a record that is shorter than it says is damage of the stream.
"""

import contextlib
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, cast

from curate.errors import MissingExtraError
from curate.readers import pages
from curate.readers.base import Declaration, Tally
from curate.readers.decompress import Stream
from curate.readers.reasons import SKIPPED

if TYPE_CHECKING:
    import polars as pl

MAX_PAGE = 16 << 20
"""Bytes of the longest page that is parsed, as unpacked."""

MAX_TAGS = 200_000
"""Most tags of a page: a parsed one takes up to 500 bytes for each."""

BATCH = 8 << 20
"""Bytes of text of a batch."""

# What warcio raises on headers and bodies that make no sense, beside its own errors.
_WARCIO_FAILS = (AttributeError, EOFError, IndexError, OSError, TypeError, ValueError, zlib.error)

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]+)", re.IGNORECASE)
_NOT_TEXT = "script, style, noscript, template, head, svg, iframe, textarea, select, button"


def columns(declaration: Declaration) -> "dict[str, pl.DataType]":
    """No columns beyond those of every documents table."""
    return {}


def read(
    streams: Sequence[Stream], declaration: Declaration, tally: Tally
) -> "Iterator[pl.DataFrame]":
    """Documents of one WARC file."""
    (stream,) = streams
    import polars as pl

    kinds = {"text": pl.String, "offset": pl.UInt64, "url": pl.String, "time": pl.String}
    held: list[tuple[str, int, str | None, str | None]] = []
    n_held = 0
    for page in _pages(stream, tally):
        held.append(page)
        n_held += len(page[0])
        if n_held > BATCH:
            yield pages.documents(pl.DataFrame(held, schema=kinds, orient="row"), tally)
            held, n_held = [], 0
    yield pages.documents(pl.DataFrame(held, schema=kinds, orient="row"), tally)


def text_of(html: str) -> str:
    """Text of the body of a page: one line per run of text, no scripts, styles or form fields."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html)
    for node in tree.css(_NOT_TEXT):
        node.decompose()
    text = tree.body.text(separator="\n", strip=True) if tree.body else ""
    return "\n".join(line for line in text.split("\n") if line.strip())


def _pages(stream: Stream, tally: Tally) -> Iterator[tuple[str, int, str | None, str | None]]:
    """(text, offset, URL, time) of each page; everything else is skipped or rejected."""
    try:
        import selectolax.lexbor  # noqa: F401
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed
        from warcio.limitreader import LimitReader
    except ImportError:
        raise MissingExtraError(
            "WARC files are read with warcio and selectolax, which are not installed",
            hint="pip install 'curate-mix[warc]'",
        ) from None
    records = ArchiveIterator(cast(IO[bytes], _File(stream.chunks())))
    while True:
        try:
            # warcio writes what it finds wrong to stderr; here it is an error, below.
            with contextlib.redirect_stderr(io.StringIO()):
                record = next(records, None)
        except (*_WARCIO_FAILS, ArchiveLoadFailed) as error:
            raise stream.damaged(f"a record cannot be read as WARC ({error})") from None
        if records.err_count:
            raise stream.damaged("a record is not as long as it says")
        if record is None:
            return
        offset = records.offset
        try:
            raw = record.content_stream().read(MAX_PAGE + 1)
            while record.raw_stream.read(1 << 16):
                pass
        except _WARCIO_FAILS as error:
            where = f"the record at byte {offset:,} cannot be read"
            raise stream.damaged(f"{where} ({error})") from None
        if not isinstance(record.raw_stream, LimitReader) or record.raw_stream.limit > 0:
            raise stream.damaged(f"the record at byte {offset:,} is not as long as it says")
        reason, text = _text(record, record.rec_type, raw)
        if text is not None:
            address = record.rec_headers.get_header("WARC-Target-URI")
            time = record.rec_headers.get_header("WARC-Date")
            yield text, offset, address.strip("<>") if address else None, time
            continue
        tally.n_records += 1
        if reason.startswith("skip:"):
            tally.skip(reason.removeprefix("skip:"))
        else:
            tally.reject(offset=offset, line=0, reason=reason, raw=raw[: 1 << 20])


def _text(record: Any, kind: str, raw: bytes) -> tuple[str, str | None]:
    """(reason, text): text of a page, or None with the reason why there is none."""
    if kind == "conversion":
        return _decoded(raw, "utf-8")
    if kind != "response":
        return f"skip:{kind if kind in SKIPPED else 'other-record'}", None
    if record.http_headers is None:
        return "skip:not-http", None
    media = record.http_headers.get_header("Content-Type") or "text/html"
    if not media.lower().startswith(("text/html", "application/xhtml")):
        return "skip:not-html", None
    if len(raw) > MAX_PAGE:
        return "too-long", None
    if raw.count(b"<") > MAX_TAGS:
        return "too-many-values", None
    charset = _CHARSET.search(media.encode()) or _CHARSET.search(raw[:1024])
    reason, html = _decoded(raw, charset[1].decode() if charset else "utf-8")
    return reason, None if html is None else text_of(html)


def _decoded(raw: bytes, charset: str) -> tuple[str, str | None]:
    # What browsers do (WHATWG Encoding): pages that say Latin-1 or ASCII are in Windows-1252.
    if charset.lower() in ("iso-8859-1", "latin1", "latin-1", "us-ascii", "ascii"):
        charset = "windows-1252"
    try:
        return "", raw.decode(charset)
    except LookupError:
        return "unknown-charset", None
    except UnicodeError:
        return "not-utf8" if charset.lower() in ("utf-8", "utf8") else "not-in-charset", None


class _File:
    """Chunks as a file that warcio can read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""
        self._place = 0

    def read(self, n: int = -1) -> bytes:
        while not self._held and (chunk := next(self._chunks, None)) is not None:
            self._held = chunk
        taken, self._held = (self._held, b"") if n < 0 else (self._held[:n], self._held[n:])
        self._place += len(taken)
        return taken

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        """Nothing to do: the stream closes its file."""
