"""
Turn a stream into the files inside it: its members if it is a TAR, else itself.

    >>> import hashlib, io, pathlib, tarfile, tempfile
    >>> from curate.readers.decompress import Stream
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.tar"
    >>> with tarfile.open(path, "w") as archive:
    ...     member = tarfile.TarInfo("lines.ndjson")
    ...     member.size = 4
    ...     archive.addfile(member, io.BytesIO(b"a\\nb\\n"))
    >>> stream = Stream(str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    >>> [(block.data, block.offset) for block in blocks(stream)]
    [(b'a\\nb\\n', 512)]

Members are never unpacked to a disk. Offsets count the bytes of the TAR. Regular files are read in
their order, folders and links are passed over. Format: POSIX.1-2001 pax interchange (with ustar and
the GNU long-name records), 512-byte blocks, a header's magic at byte 257.
"""

import tarfile
from collections.abc import Iterator

from curate.readers.decompress import Stream
from curate.readers.lines import Block, blocks_of

UNIT = 512
MAX_PAX = 1 << 20
"""Bytes of the longest pax header that is taken seriously."""


def blocks(stream: Stream) -> Iterator[Block]:
    """Blocks of whole lines of a stream, or of the files in it if it is a TAR."""
    if is_tar(stream):
        yield from _members(stream, _Source(stream.chunks()))
    else:
        yield from blocks_of(stream.chunks())


def is_tar(stream: Stream) -> bool:
    """Whether a stream that nobody has begun to read is a TAR."""
    return stream.peek(UNIT)[257:262] == b"ustar"


def _members(stream: Stream, source: "_Source") -> Iterator[Block]:
    size_override: int | None = None
    while True:
        header = source.take(UNIT)
        if len(header) < UNIT:
            raise stream.damaged("the TAR stops before its end")
        if header == bytes(UNIT):
            break  # two blocks of zeros end a TAR; what follows them is padding
        try:
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise stream.damaged(f"a TAR header does not check out ({error})") from None
        size = member.size if size_override is None else size_override
        size_override = None
        padding = -size % UNIT
        if size < 0 or (member.type == tarfile.XHDTYPE and size > MAX_PAX):
            raise stream.damaged("a TAR header gives an impossible size")
        if member.type == tarfile.XHDTYPE:
            size_override = _pax_size(source.take(size))
        elif member.isreg():
            offset = source.n_taken
            yield from blocks_of(source.part(size), offset=offset)
            if source.n_taken != offset + size:
                raise stream.damaged(f"the TAR stops inside {member.name!r}")
        else:
            for _ in source.part(size):
                pass
        source.take(padding)
    for chunk in source.rest():
        if chunk.strip(b"\0"):
            raise stream.damaged("something follows the end of the TAR")


def _pax_size(records: bytes) -> int | None:
    """`size` of a pax header (files over 8 GiB), whose records are `<length> <key>=<value>\\n`."""
    for record in records.split(b"\n"):
        key, _, value = record.partition(b" ")[2].partition(b"=")
        if key == b"size" and value.isdigit():
            return int(value)
    return None


class _Source:
    """Chunks of bytes, taken by number."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""
        self.n_taken = 0

    def peek(self, n: int) -> bytes:
        """The next n bytes, fewer at the end, without taking them."""
        while len(self._held) < n and (chunk := next(self._chunks, None)) is not None:
            self._held += chunk
        return self._held[:n]

    def take(self, n: int) -> bytes:
        """The next n bytes, fewer at the end; for small n."""
        taken = self.peek(n)
        self._held = self._held[len(taken) :]
        self.n_taken += len(taken)
        return taken

    def part(self, n: int) -> Iterator[bytes]:
        """The next n bytes in chunks, fewer at the end."""
        while n:
            chunk, self._held = self._held or next(self._chunks, b""), b""
            if not chunk:
                return
            self._held = chunk[n:]
            chunk = chunk[:n]
            n -= len(chunk)
            self.n_taken += len(chunk)
            yield chunk

    def rest(self) -> Iterator[bytes]:
        """Everything that is left, in chunks."""
        if self._held:
            held, self._held = self._held, b""
            yield held
        yield from self._chunks
