"""
Turn a file, wherever it lies and however it is compressed, into its decompressed bytes.

What a file is compressed with is read from its first bytes, never from its name. Every member of
a gzip, bz2 or xz file and every frame of a zstd file is read to its end; a stream that stops
early, does not check out, or is followed by anything else is an error, never a short file.

    >>> import gzip, hashlib, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "two-members"
    >>> _ = path.write_bytes(gzip.compress(b"one\\n") + gzip.compress(b"two\\n"))
    >>> stream = Stream(str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    >>> b"".join(stream.chunks())
    b'one\\ntwo\\n'
    >>> stream.n_bytes == path.stat().st_size, stream.n_bytes_decompressed
    (True, 8)

Sources of the traps: RFC 1952 §2.2 (members), RFC 8878 §3.1 (frames, skippable frames, window
size); python-zstandard's streaming readers return a cut stream's prefix without an error, hence
the frame loop below.
"""

import bz2
import hashlib
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol, cast

from curate import files
from curate.errors import (
    CurateError,
    InputError,
    IntegrityError,
    MissingExtraError,
    RemoteError,
)

CHUNK = 1 << 20
"""Compressed bytes read at a time."""

MAX_OUTPUT = 1 << 20
"""Decompressed bytes given at a time by the codecs that can be told so (gzip, bz2, xz)."""

ZSTD_SLICE = 4096
"""Compressed bytes given to zstd at a time: one 4-byte block can hold 128 KiB, so this bounds
what one call can return to 128 MiB."""

MAX_WINDOW = 1 << 27
"""Largest zstd window accepted: 128 MiB, what `zstd --long` writes."""

MAX_RATIO = 200
"""Largest decompressed/compressed ratio of a file, once it has given `RATIO_FREE` bytes."""

RATIO_FREE = 16 << 20

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
}


def codec_of(head: bytes) -> str:
    """Name of the compression that a file starting with `head` uses; "none" if it uses none."""
    if len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return "zstd"  # a skippable frame may come first (pzstd, zstd --patch-from tools)
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    return "none"


class Stream:
    """
    One input as a stream of decompressed bytes that accounts for every compressed one.

    `uri` is a local path or an fsspec URL; `sha256` is what its bytes must hash to. Iterate
    `chunks()` to the end: only then is the hash known, and IntegrityError raised if it is wrong.
    `progress` is called with the number of compressed bytes read since its last call.
    """

    def __init__(
        self, uri: str, sha256: str, progress: Callable[[int], None] = lambda n: None
    ) -> None:
        self.uri = uri
        self.name = uri.rsplit("/", 1)[-1]
        self.sha256 = sha256
        self.codec = ""
        self.n_bytes = 0
        self.n_bytes_decompressed = 0
        self._progress = progress
        self._peeked: list[bytes] = []
        self._rest: Iterator[bytes] | None = None

    def chunks(self) -> Iterator[bytes]:
        """Yield the decompressed bytes in order, at most about 128 MiB at a time."""
        if self._rest is None:
            self._rest = self._opened()
        while self._peeked:
            yield self._peeked.pop(0)
        yield from self._rest

    def peek(self, n: int) -> bytes:
        """The first n decompressed bytes (fewer of a short stream), before `chunks` is called."""
        if self._rest is None:
            self._rest = self._opened()
        while sum(map(len, self._peeked)) < n and (chunk := next(self._rest, None)) is not None:
            self._peeked.append(chunk)
        return b"".join(self._peeked)[:n]

    def local(self, scratch: Callable[[], Path]) -> Path:
        """A path of the decompressed bytes, checked: for formats that need to seek."""
        self.peek(1)
        if "://" not in self.uri and self.codec == "none":
            for _ in self.chunks():
                pass
            return Path(self.uri)
        path = scratch() / "input"
        with files.replacing(path) as temporary, temporary.open("wb") as copy:
            for chunk in self.chunks():
                copy.write(chunk)
        return path

    def damaged(self, reason: str) -> InputError:
        """The error to raise where this stream stops making sense."""
        return InputError(
            f"{self.name} is damaged: {reason}",
            details=[
                f"at byte {self.n_bytes:,} of the file",
                f"after {self.n_bytes_decompressed:,} decompressed bytes",
                f"file: {self.uri}",
            ],
            hint="Get the file again, or leave it out of the recipe.",
        )

    def _opened(self) -> Iterator[bytes]:
        with open_binary(self.uri) as file:
            yield from self._decompress(self._hashed(file))

    def _hashed(self, file: IO[bytes]) -> Iterator[bytes]:
        hasher = hashlib.sha256()
        while chunk := self._some(file):
            hasher.update(chunk)
            self.n_bytes += len(chunk)
            self._progress(len(chunk))
            yield chunk
        check_digest(self.name, self.uri, expected=self.sha256, actual=hasher.hexdigest())

    def _some(self, file: IO[bytes]) -> bytes:
        try:
            return file.read(CHUNK)
        except Exception as error:  # file systems behind fsspec raise errors of their own
            if "://" in self.uri:
                kind: type[CurateError] = RemoteError
            elif isinstance(error, OSError):
                kind = InputError
            else:
                raise
            raise kind(
                f"{self.name} cannot be read: {type(error).__name__}",
                details=[f"at byte {self.n_bytes:,} of the file", f"file: {self.uri}"],
            ) from error

    def _decompress(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        head = next(chunks, b"")
        self.codec = codec_of(head)
        whole = _chain(head, chunks)
        if self.codec == "none":
            for chunk in whole:
                self.n_bytes_decompressed += len(chunk)
                yield chunk
            return
        if self.codec in ("zip", "7z"):
            raise InputError(
                f"{self.name} is a {self.codec} archive, which is not read as a stream",
                details=[f"file: {self.uri}"],
                hint="Unpack it first; gzip, zstd, bz2, xz and tar are read as they are.",
            )
        for chunk in _members(_MEMBERS[self.codec], whole, self.damaged):
            self.n_bytes_decompressed += len(chunk)
            if (
                self.n_bytes_decompressed > RATIO_FREE
                and self.n_bytes_decompressed > MAX_RATIO * self.n_bytes
            ):
                raise self.damaged(f"it expands more than {MAX_RATIO}-fold, like a bomb")
            yield chunk


def open_binary(uri: str) -> IO[bytes]:
    """Open a local path or an fsspec URL for reading bytes; InputError if it is not there."""
    try:
        if "://" not in uri or uri.startswith("file://"):
            return open(uri.removeprefix("file://"), "rb", buffering=0)
        return _open_url(uri)
    except FileNotFoundError:
        raise InputError(f"{uri} is not there", hint="Run curate lock again.") from None
    except OSError as error:
        raise InputError(f"{uri} cannot be read: {error.strerror or error}") from None


def _open_url(url: str) -> IO[bytes]:
    import fsspec

    try:
        opened: IO[bytes] = fsspec.open(url, "rb", compression=None).open()
        return opened
    except ImportError as error:
        raise MissingExtraError(f"{url} needs another package: {error}") from None
    except FileNotFoundError:
        raise
    except Exception as error:  # file systems behind fsspec raise errors of their own
        raise RemoteError(
            f"{url} cannot be opened: {type(error).__name__}",
            hint="Check the address and the network, then run the same line again.",
        ) from error


def check_digest(name: str, uri: str, *, expected: str, actual: str) -> None:
    """IntegrityError unless the bytes read are the locked ones."""
    if actual != expected:
        raise IntegrityError(
            f"{name} is not the locked file",
            details=[f"sha256 locked {expected}", f"sha256 found  {actual}", f"file: {uri}"],
            hint="Get the locked file back, or run curate lock to accept the new one.",
        )


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


class _Member(Protocol):
    """One gzip, bz2 or xz member or zstd frame, fed compressed bytes in order."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...
    @property
    def errors(self) -> tuple[type[Exception], ...]: ...
    @property
    def ended(self) -> bool: ...
    @property
    def rest(self) -> bytes: ...


class _ZstdFrame:
    def __init__(self) -> None:
        import zstandard

        self.errors: tuple[type[Exception], ...] = (zstandard.ZstdError,)
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        self._object = decompressor.decompressobj()
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), ZSTD_SLICE):
            yield self._object.decompress(data[start : start + ZSTD_SLICE])
            if self._object.eof:
                self._rest = self._object.unused_data + data[start + ZSTD_SLICE :]
                return

    @property
    def ended(self) -> bool:
        return bool(self._object.eof)

    @property
    def rest(self) -> bytes:
        return self._rest


class _Bounded(Protocol):
    """What decompressors of gzip, bz2 and xz have in common: they stop after `max_length` bytes."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


class _BoundedMember:
    def __init__(self, decompressor: _Bounded, *errors: type[Exception]) -> None:
        self._object = decompressor
        self.errors = errors

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._object.decompress(data, MAX_OUTPUT)
        while not self._object.eof and not self._object.needs_input:
            yield self._object.decompress(b"", MAX_OUTPUT)

    @property
    def ended(self) -> bool:
        return self._object.eof

    @property
    def rest(self) -> bytes:
        return self._object.unused_data


def _gzip() -> _Member:
    from isal import igzip_lib

    member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return _BoundedMember(cast(_Bounded, member), cast(type[Exception], igzip_lib.error))


def _bz2() -> _Member:
    return _BoundedMember(bz2.BZ2Decompressor(), OSError, EOFError, ValueError)


def _xz() -> _Member:
    member = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MAX_WINDOW * 2)
    return _BoundedMember(member, lzma.LZMAError, EOFError)


_MEMBERS: dict[str, Callable[[], _Member]] = {
    "gzip": _gzip,
    "zstd": _ZstdFrame,
    "bz2": _bz2,
    "xz": _xz,
}


def _members(
    new: Callable[[], _Member],
    chunks: Iterator[bytes],
    damaged: Callable[[str], InputError],
) -> Iterator[bytes]:
    """Decompress member after member; the input must end exactly where a member ends."""
    member: _Member | None = None
    n_members = 0
    for chunk in chunks:
        data = chunk
        while data:
            if member is None:
                if n_members and not data.strip(b"\0"):
                    break  # zero padding after the last member (tape blocks; gzip(1) accepts it)
                member = new()
            try:
                for piece in member.feed(data):
                    if piece:
                        yield piece
            except member.errors as error:
                raise damaged(f"{type(error).__name__}: {error}") from error
            if not member.ended:
                break
            data = member.rest
            member = None
            n_members += 1
    if member is not None:
        raise damaged("the stream stops before its end")
