"""Decompression: every byte or an error, whatever was done to the file."""

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError, IntegrityError
from curate.readers import decompress, tar
from curate.readers.decompress import Stream, codec_of
from curate.readers.lines import blocks_of


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
SKIPPABLE = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"


def stream_of(tmp_path: Path, data: bytes) -> Stream:
    path = tmp_path / "input"
    path.write_bytes(data)
    return Stream(str(path), hashlib.sha256(data).hexdigest())


def read(tmp_path: Path, data: bytes) -> bytes:
    return b"".join(stream_of(tmp_path, data).chunks())


@pytest.mark.parametrize("codec", CODECS)
def test_what_was_compressed_comes_back(tmp_path: Path, codec: str) -> None:
    """One member, two members and an empty one are read whole."""
    compress = CODECS[codec]

    assert b"one\n" == read(tmp_path, compress(b"one\n"))
    assert b"one\ntwo\n" == read(tmp_path, compress(b"one\n") + compress(b"") + compress(b"two\n"))
    assert b"" == read(tmp_path, compress(b""))


@pytest.mark.parametrize("codec", CODECS)
def test_the_name_does_not_matter(codec: str) -> None:
    """The codec is told from the first bytes."""
    assert codec == codec_of(CODECS[codec](b"text"))
    assert "none" == codec_of(b'{"text"')


def test_no_compression(tmp_path: Path) -> None:
    """A plain file is its own content, an empty file is empty."""
    assert b"plain" == read(tmp_path, b"plain")
    assert b"" == read(tmp_path, b"")


def test_skippable_frames_are_skipped(tmp_path: Path) -> None:
    """Skippable zstd frames may stand first, between and last (RFC 8878 section 3.1.2)."""
    data = SKIPPABLE + zstd(b"one") + SKIPPABLE + zstd(b"two") + SKIPPABLE

    assert b"onetwo" == read(tmp_path, data)


@pytest.mark.parametrize("codec", CODECS)
def test_every_cut_is_an_error(tmp_path: Path, codec: str, scale: int) -> None:
    """A stream cut anywhere gives an error that names file and offset, never a short file."""
    text = b"".join(b'{"posts":[{"no":%d,"com":"mild"}]}\n' % n for n in range(4_000))
    whole = CODECS[codec](text)
    n_cuts = 256 * scale
    cuts = sorted({1 + k * (len(whole) - 2) // n_cuts for k in range(n_cuts)})
    silent = []
    for cut in cuts:
        stream = stream_of(tmp_path, whole[:cut])
        try:
            found = b"".join(stream.chunks())
        except InputError as error:
            assert 4 == error.exit_code
            assert "input is damaged" in error.message
            assert f"at byte {cut:,} of the file" == error.details[0]
            continue
        # The first bytes of a magic number are a plain file of those bytes.
        if found != whole[:cut] or codec_of(whole[:cut]) != "none":
            silent.append(cut)

    assert [] == silent


@pytest.mark.parametrize("codec", CODECS)
def test_garbage_after_the_end_is_an_error(tmp_path: Path, codec: str) -> None:
    """Bytes after the last member that are no member are an error, padding with zeros is not."""
    whole = CODECS[codec](b"text\n")
    with pytest.raises(InputError):
        read(tmp_path, whole + b"garbage")

    assert b"text\n" == read(tmp_path, whole + bytes(512))


@pytest.mark.parametrize("codec", ["gzip", "zstd", "bz2", "xz"])
def test_a_changed_byte_is_never_silent(tmp_path: Path, codec: str) -> None:
    """A flipped bit in the content gives an error: every codec here checks a sum."""
    whole = CODECS[codec](bytes(range(256)) * 64)
    for place in range(20, len(whole) - 4, max(1, len(whole) // 40)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x10
        try:
            found = read(tmp_path, bytes(flipped))
        except InputError:
            continue

        assert bytes(range(256)) * 64 == found  # a bit without meaning (gzip's time, padding)


@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_refused(tmp_path: Path, codec: str) -> None:
    """400 MB of zeros stop soon after the 16 MB that any file may have, in small steps."""
    bomb = {
        "gzip": lambda: gzip.compress(bytes(100 << 20), 9) * 4,
        "zstd": lambda: zstd(bytes(400 << 20)),
        "bz2": lambda: bz2.compress(bytes(100 << 20), 9) * 4,
        "xz": lambda: lzma.compress(bytes(100 << 20), preset=0) * 4,
    }[codec]()
    stream = stream_of(tmp_path, bomb)
    largest = 0
    with pytest.raises(InputError, match="like a bomb"):
        for chunk in stream.chunks():
            largest = max(largest, len(chunk))

    assert largest <= 128 << 20
    limit = max(decompress.RATIO_FREE, decompress.MAX_RATIO * len(bomb))
    assert stream.n_bytes_decompressed <= limit + (128 << 20)


def test_a_window_bomb_is_refused(tmp_path: Path) -> None:
    """A zstd frame that asks for a window of 2 GiB is not given one."""
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, (31 - 10) << 3]) + b"\x01\x00\x00"
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path, frame)


def test_a_long_window_is_read(tmp_path: Path) -> None:
    """What `zstd --long=27` writes is read."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    data = zstandard.ZstdCompressor(compression_params=parameters).compress(b"text " * 1000)

    assert b"text " * 1000 == read(tmp_path, data)


def test_another_file_is_refused(tmp_path: Path) -> None:
    """Bytes that do not hash to the locked sha256 are an integrity error."""
    path = tmp_path / "input"
    path.write_bytes(b"other")
    with pytest.raises(IntegrityError, match="input is not the locked file") as caught:
        list(Stream(str(path), hashlib.sha256(b"locked").hexdigest()).chunks())

    assert 3 == caught.value.exit_code


def test_a_missing_file_is_an_input_error() -> None:
    """A file that is not there says so."""
    with pytest.raises(InputError, match="is not there"):
        list(Stream("/nowhere/at/all", "0" * 64).chunks())


def test_zip_says_what_to_do(tmp_path: Path) -> None:
    """Archives that cannot be streamed are refused with a way out."""
    with pytest.raises(InputError, match="zip archive") as caught:
        read(tmp_path, b"PK\x03\x04rest")

    assert "Unpack it first" in caught.value.hint


def test_fsspec_urls_are_read() -> None:
    """Any fsspec URL can be an input."""
    import fsspec

    data = gzip.compress(b"far away\n")
    with fsspec.open("memory://dump.gz", "wb") as file:
        file.write(data)

    assert b"far away\n" == b"".join(
        Stream("memory://dump.gz", hashlib.sha256(data).hexdigest()).chunks()
    )


def test_progress_adds_up_to_the_file(tmp_path: Path) -> None:
    """Progress counts the bytes of the file, not of what is in it."""
    data = gzip.compress(b"text\n" * 1000)
    path = tmp_path / "input"
    path.write_bytes(data)
    steps: list[int] = []
    list(Stream(str(path), hashlib.sha256(data).hexdigest(), steps.append).chunks())

    assert len(data) == sum(steps)


def archive(members: dict[str, bytes], *, format_: int = tarfile.PAX_FORMAT) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=format_) as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        file.addfile(folder)
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    return whole.getvalue()


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_looked_through(tmp_path: Path, format_: int) -> None:
    """The lines of the files in a TAR come out, at their place in the TAR; links do not."""
    long_name = "x" * (90 if format_ == tarfile.USTAR_FORMAT else 300)
    data = archive({"a": b"one\ntwo", long_name: b"three\n"}, format_=format_)
    found = list(tar.blocks(stream_of(tmp_path, zstd(data))))

    assert [b"one\ntwo", b"three\n"] == [block.data for block in found]
    assert [data.index(b"one"), data.index(b"three")] == [block.offset for block in found]


def test_every_cut_of_a_tar_is_an_error(tmp_path: Path) -> None:
    """A TAR that was cut before it was compressed is noticed, also between two members."""
    data = archive({"a": b"one\n", "b": b"two\n"})
    end = data.rindex(b"link") // 512 * 512 + 512  # behind the last header
    for cut in range(513, end, 100):
        with pytest.raises(InputError, match="TAR"):
            list(tar.blocks(stream_of(tmp_path, data[:cut])))
    with pytest.raises(InputError, match="TAR"):
        list(tar.blocks(stream_of(tmp_path, data[:1024])))


def test_a_damaged_tar_header_is_an_error(tmp_path: Path) -> None:
    """A header whose sum does not check out is not read past."""
    data = bytearray(archive({"a": b"one\n", "b": b"two\n"}))
    data[1024 + 10] ^= 1
    with pytest.raises(InputError, match="does not check out"):
        list(tar.blocks(stream_of(tmp_path, bytes(data))))


@given(
    data=st.binary(max_size=200).map(lambda b: b.replace(b"\x07", b"\n")),
    sizes=st.lists(st.integers(1, 40), max_size=20),
    block=st.integers(1, 50),
)
def test_blocks_are_the_stream(data: bytes, sizes: list[int], block: int) -> None:
    """Blocks together are the stream; each but the last ends at a line end; places are right."""
    chunks, rest = [], data
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    found = list(blocks_of(iter([*chunks, rest]), block=block, longest=1_000))

    assert data == b"".join(b.data for b in found)
    assert all(b.data.endswith(b"\n") for b in found[:-1])
    for b in found:
        assert data[b.offset :].startswith(b.data)
        assert b.line == 1 + data[: b.offset].count(b"\n")
    # However the bytes arrive, the blocks are the same.
    assert found == list(blocks_of(iter([data]), block=block, longest=1_000))


def test_a_block_has_few_lines() -> None:
    """Lines so short that what is made of them outweighs them come in smaller blocks."""
    data = b"a\n" * 10
    for size in (1, 7, 100):
        chunks = [data[k : k + size] for k in range(0, len(data), size)]
        found = list(blocks_of(iter(chunks), block=12, most=4))

        assert [(8, 0, 1), (8, 8, 5), (4, 16, 9)] == [
            (len(b.data), b.offset, b.line) for b in found
        ]


def test_a_line_that_is_too_long_is_passed_over() -> None:
    """Its first bytes and its length are kept, and the lines around it are not harmed."""
    data = b"short\n" + b"x" * 100 + b"\nafter\n"
    for size in (1, 3, 7, 1000):
        chunks = [data[k : k + size] for k in range(0, len(data), size)]
        found = list(blocks_of(iter(chunks), block=8, longest=20))

        assert [(b"short\n", 0, 1, 0), (b"x" * 20, 6, 2, 101), (b"after\n", 107, 3, 0)] == [
            (b.data, b.offset, b.line, b.n_too_long) for b in found
        ]
