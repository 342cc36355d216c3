"""Every field of every sidecar is broken by itself; the finding names the field and the place."""

import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.audit import sidecars
from curate.audit.opened import open_mix
from tests.audit.conftest import Mix
from tests.audit.damage import npy

Change = Callable[[bytes], bytes]


def found(folder: Path, suffix: str, change: Change, number: int = 0) -> list[tuple[str, str]]:
    """(where, what) of what is said of one sidecar of a shard, after a change of its bytes."""
    path = npy(folder, number).with_suffix(suffix)
    path.write_bytes(change(path.read_bytes()))
    mix = open_mix(folder)
    rows = mix.spans().collect().filter(shard=number)
    said = list(sidecars.check(mix, number, rows))
    assert {"sidecar"} >= {f.kind for f in said}
    assert {f"shards/{path.name}"} >= {f.file for f in said}
    return [(f.where, f.what) for f in said]


def flipped(at: int) -> Change:
    """One byte changed."""
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_sidecars_as_they_were_written_are_no_findings(make: Mix) -> None:
    """Narrow and wide ids, in every shard."""
    for name, dtype in (("1", "uint16"), ("2", "uint32")):
        folder = make(name, dtype=dtype)
        for number in range(3):
            assert [] == found(folder, ".idx", lambda data: data, number)


@pytest.mark.parametrize(
    ("at", "where"),
    [
        (0, "byte 0, magic[0]"),
        (8, "byte 8, magic[8]"),
        (9, "byte 9, version[0]"),
        (17, "byte 17, code[0]"),
        (18, "byte 18, counts[0]"),
        (26, "byte 26, counts[1]"),
        (34, "byte 34, lengths[0]"),
        (39, "byte 39, lengths[1]"),
    ],
)
def test_a_byte_of_a_megatron_index_is_a_field(make: Mix, at: int, where: str) -> None:
    """Magic, version, code of the width, two counts, and what follows them."""
    assert [(where, "is not what the spans give")] == found(make(), ".idx", flipped(at))


def test_the_arrays_of_a_megatron_index_come_one_after_the_other(make: Mix) -> None:
    """Lengths of four bytes, offsets of eight, documents of eight."""
    folder = make()
    n = open_mix(folder).shards[0]["n_spans"]
    offsets, documents = 34 + 4 * n, 34 + 12 * n

    for at, name in ((offsets + 8, "offsets[1]"), (documents + 16, "documents[2]")):
        said = found(folder, ".idx", flipped(at))
        assert [(f"byte {at}, {name}", "is not what the spans give")] == said
        found(folder, ".idx", flipped(at))


def test_an_index_of_another_length_is_found(make: Mix) -> None:
    """A byte too many; a byte too few, which is the last field's as well."""
    folder = make()
    size = npy(folder).with_suffix(".idx").stat().st_size
    n = open_mix(folder).shards[0]["n_spans"]
    long = found(folder, ".idx", lambda data: data + b"\0")
    short = found(folder, ".idx", lambda data: data[:-2])

    assert [("", f"{size + 1:,} bytes, the spans give {size:,}")] == long
    assert [
        (f"byte {size - 1}, documents[{n}]", "is not what the spans give"),
        ("", f"{size - 1:,} bytes, the spans give {size:,}"),
    ] == short


def test_the_cumulative_ends_are_those_of_the_spans(make: Mix) -> None:
    """The third end is one token off."""

    def moved(data: bytes) -> bytes:
        ends = list(struct.unpack(f"<{len(data) // 8}Q", data))
        ends[2] += 1
        return struct.pack(f"<{len(ends)}Q", *ends)

    [(where, what)] = found(make(), ".ds.index", moved)

    assert where.endswith(", ends[2]") and "is not what the spans give" == what


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("../tokenizer.json|2\n{n}", ""),
        ("../tokenizer.json|2\n{n}\n{n}\n", ""),
        ("../tokenizer.json\n{n}\n{n}", "line 1"),
        ("|2\n{n}\n{n}", "line 1"),
        ("a|b|2\n{n}\n{n}", "line 1"),
        ("../tokenizer.json|4\n{n}\n{n}", "line 1"),
        ("../tokenizer.json|2\n{n}0\n{n}", "line 2"),
        ("../tokenizer.json|2\n{n}\n{n}K", "line 3"),
    ],
)
def test_three_lines_of_metadata_are_read_one_by_one(make: Mix, text: str, where: str) -> None:
    """A tokenizer's name and a width, tokens, tokens in words; less than 1,000 as they are."""
    folder = make()
    n = open_mix(folder).shards[0]["n_tokens"]
    whole = found(folder, ".ds.metadata", lambda data: data)
    said = found(folder, ".ds.metadata", lambda data: text.format(n=n).encode())

    assert [] == whole
    assert [where] == [place for place, _ in said]


def repacked(change: Change) -> Change:
    """The bytes of a gzip member with other contents."""

    def packed(data: bytes) -> bytes:
        raw = change(gzip.decompress(data))
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(raw) + deflate.flush()
        return data[:10] + body + struct.pack("<II", zlib.crc32(raw), len(raw))

    return packed


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        (flipped(4), "byte 0", "its gzip header holds more than it should"),
        (flipped(-1 - 8), None, None),
        (
            repacked(lambda raw: raw.replace(b"\n", b"0\n", 2)),
            "line 1",
            "is not what the spans give",
        ),
        (repacked(lambda raw: raw[:-1]), None, "is not what the spans give"),
        (repacked(lambda raw: raw + b"1,2,a,b,3\n"), None, "is not what the spans give"),
        (lambda data: data + b"\0", "", "its gzip member does not end with the file"),
        (lambda data: data[:-1], "", "its gzip member does not end with the file"),
        (lambda data: data[:10] + b"\xff" * 9, "", "cannot be decompressed"),
    ],
)
def test_the_table_of_documents_is_one_member_with_these_lines(
    make: Mix, change: Change, where: str | None, what: str | None
) -> None:
    """No time in its head, the spans' lines in it, nothing after it."""
    [said] = found(make(), ".csv.gz", change)

    assert where is None or where == said[0]
    assert what is None or said[1].startswith(what)


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.0K"),
        (999_999, "999.9K"),
        (10**6, "1.0M"),
        (10**9 - 1, "999.9M"),
        (10**9, "1.0B"),
        (10**12 - 1, "999.9B"),
        (10**12, "1.0T"),
        (1_290_000_000_000, "1.2T"),
    ],
)
def test_counts_in_words_are_rounded_down(n: int, words: str) -> None:
    """One decimal, from a thousand to a trillion."""
    assert words == sidecars.in_words(n)
