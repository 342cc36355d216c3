"""Readers as a whole: declarations, parts, receipts, hostile files, and every real dump."""

import gzip
import hashlib
import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate import fingerprint, readers
from curate.errors import InputError, IntegrityError, RecipeError
from curate.readers import lines as lines_module
from tests.fourchan_dumps import DUMPS
from tests.readers_world import lines, read

WHERE = "r.toml [source.pol]"


def test_defaults_are_filled_in() -> None:
    """A declaration holds every option, so that its fingerprint does."""
    declared = readers.declare("4chan", {"document": "post"}, where=WHERE)

    assert {
        "reader": "4chan",
        "format": readers.FORMAT,
        "document": "post",
        "serialisation": "plain",
        "board": "pol",
        "quotelinks": "keep",
        "dangling": "mark",
        "identities": "drop",
        "dump": "auto",
        "columns": {},
        "markup": "auto",
        "timezone": "auto",
        "ghosts": "skip",
        "join": False,
    } == declared
    assert fingerprint.fingerprint(declared) != fingerprint.fingerprint(
        readers.declare("4chan", {}, where=WHERE)
    )


@pytest.mark.parametrize(
    ("reader", "options", "message"),
    [
        ("4chn", {}, "unknown reader 4chn, did you mean 4chan?"),
        ("4chan", {"boards": "g"}, "unknown key boards, did you mean board?"),
        ("4chan", {"board": 7}, "board must be a string, not int"),
        ("4chan", {"join": "yes"}, "join must be true or false, not str"),
        ("4chan", {"document": "posts"}, "document cannot be 'posts', did you mean post?"),
        ("4chan", {"columns": {"bdy": "x"}}, "unknown role bdy in columns"),
        ("4chan", {"columns": {"no": 5}}, "columns.no must be the name of a column"),
        ("c4", {"document": "post"}, "unknown key document (there are none)"),
        ("jsonl", {"keep": ["a", "a"]}, "keep must be a list of different names"),
        ("4chan", {"document": "post", "join": True}, 'join needs document = "thread"'),
        ("4chan", {"identities": "hash"}, 'identities = "hash" needs document = "post"'),
    ],
)
def test_mistakes_in_a_recipe(reader: str, options: dict[str, Any], message: str) -> None:
    """Each names the place, the mistake and what was probably meant."""
    with pytest.raises(RecipeError) as caught:
        readers.declare(reader, options, where=WHERE)

    assert caught.value.message.startswith(f"{WHERE}: {message}")


@pytest.mark.parametrize("name", DUMPS)
def test_bytes_written_do_not_change(tmp_path: Path, name: str) -> None:
    """The same dump gives the same parts as ever: whoever changes them raises FORMAT."""
    reader, options, data, digest = DUMPS[name]
    reading = read(tmp_path, data, reader, options)
    known = reading.documents.drop("input")  # the name of the file: bytes of a compressor
    rows = known.with_columns(pl.col(pl.Binary).bin.encode("hex")).write_ndjson()

    assert (1, digest) == (readers.FORMAT, hashlib.sha256(rows.encode()).hexdigest()[:16])


@pytest.mark.parametrize("name", DUMPS)
def test_where_blocks_end_does_not_matter(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in pieces of 100 bytes, a dump gives the same bytes in its files."""
    reader, options, data, _ = DUMPS[name]
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    whole.mkdir()
    pieces.mkdir()
    read(whole, data, reader, options)
    monkeypatch.setitem(lines_module.blocks_of.__kwdefaults__, "block", 100)
    read(pieces, data, reader, options)

    assert files_of(whole / "out") == files_of(pieces / "out")


def files_of(folder: Path) -> dict[str, Any]:
    """File name → bytes; receipts without the time they were written."""
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        found[path.name] = path.read_bytes()
        if path.name.endswith(".receipt.json"):
            found[path.name] = {**json.loads(path.read_bytes()), "finished": 0}
    return found


def test_parts_are_cut_at_documents(tmp_path: Path) -> None:
    """A part ends with the document that fills it, however the documents were batched."""
    texts = ["a" * 4, "b" * 6, "c" * 1, "d" * 20, "e" * 3]
    data = lines(*[{"text": text} for text in texts])
    reading = read(tmp_path, data, "c4", part_bytes=10)

    assert texts == reading.texts
    name = reading.facts["input"][:16]
    assert [
        {"name": f"{name}-00000", "n_documents": 2, "n_bytes": 10},
        {"name": f"{name}-00001", "n_documents": 2, "n_bytes": 21},
        {"name": f"{name}-00002", "n_documents": 1, "n_bytes": 3},
    ] == reading.facts["parts"]


def test_the_bytes_of_a_part(tmp_path: Path) -> None:
    """Row groups of 65,536 short rows, zstd, in the schema of docs/format.md."""
    import pyarrow.parquet

    data = lines(*[{"text": f"text {k}"} for k in range(70_000)])
    reading = read(tmp_path, data, "c4")
    file = pyarrow.parquet.ParquetFile(
        tmp_path / "out" / f"{reading.facts['parts'][0]['name']}.parquet"
    )

    assert [65_536, 4_464] == [file.metadata.row_group(k).num_rows for k in range(2)]
    assert "ZSTD" == file.metadata.row_group(0).column(0).compression
    assert {
        "id": "large_string",
        "key": "large_binary",
        "n_bytes": "uint32",
        "offset": "uint64",
        "timestamp": "int64",
    } == {
        n: str(file.schema_arrow.field(n).type)
        for n in ("id", "key", "n_bytes", "offset", "timestamp")
    }


def test_another_file_leaves_no_receipt(tmp_path: Path) -> None:
    """A file that is not the locked one is an integrity error, and nothing is taken for done."""
    path = tmp_path / "input"
    path.write_bytes(lines({"text": "a"}))
    declaration = readers.declare("c4", {}, where=WHERE)
    with pytest.raises(IntegrityError, match="is not the locked file"):
        readers.read_input(str(path), declaration, input_sha256="0" * 64, out=tmp_path / "out")

    assert [] == [p for p in (tmp_path / "out").glob("*") if "receipt" in p.name]


def test_reading_again_writes_the_same(tmp_path: Path) -> None:
    """A second reading, also over what an interrupted one left, gives the same files."""
    data = lines({"text": "a"}, b"bad", {"text": "b"})
    read(tmp_path, data, "c4")
    first = files_of(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        path.write_bytes(b"torn") if "receipt" not in path.name else path.unlink()
    read(tmp_path, data, "c4")

    assert first == files_of(tmp_path / "out")


def test_the_limit_of_rejected_records(tmp_path: Path) -> None:
    """Records and bytes both count; the error says what to look at and what to set."""
    data = lines(*[{"text": "mild"}] * 999, b"x" * 40)
    facts = read(tmp_path, data, "c4").facts
    readers.check_rejected(facts, name="c4.json", limit=Fraction(1, 100))
    with pytest.raises(InputError, match="has too many records") as caught:
        readers.check_rejected(facts, name="c4.json", limit=Fraction(1, 1000))

    assert "1 of 1,000 records (not-json 1)" == caught.value.details[0]
    assert "40 of 16,025 bytes" == caught.value.details[1]
    assert "raise --max-rejected above 0.250%" in caught.value.hint
    assert 4 == caught.value.exit_code


def test_a_line_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is rejected with its beginning and its length."""
    monkeypatch.setitem(lines_module.blocks_of.__kwdefaults__, "block", 100)
    monkeypatch.setitem(lines_module.blocks_of.__kwdefaults__, "longest", 200)
    data = lines({"text": "before"}, {"text": "x" * 500}, {"text": "after"})
    reading = read(tmp_path, data, "c4")

    assert ["before", "after"] == reading.texts
    assert (3, 2, {}, {"too-long": 1}) == reading.counts
    assert 512 == reading.rejected[0]["n_bytes"]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to four changes: bytes flipped, cut out, doubled, or hostile bytes put in."""
    changed = bytearray(data)
    hostile = [
        b"\xff",
        b"\x00",
        b'"',
        b"\\",
        b"\n",
        b"{",
        b"]" * 70,
        b"[" * 1_100,
        b"\\ud800",
        b"NaN",
    ]
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        kind = chance.randrange(5)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del changed[place : place + chance.randint(1, 30)]
        elif kind == 2:
            changed[place:place] = changed[place : place + chance.randint(1, 30)]
        elif kind == 3:
            changed[place:place] = chance.choice(hostile)
        else:
            del changed[place:]
    return bytes(changed)


@pytest.mark.parametrize("name", DUMPS)
def test_mutated_dumps(tmp_path: Path, name: str, scale: int) -> None:
    """Damaged at random, a dump gives documents that add up or an error that says where."""
    reader, options, data, _ = DUMPS[name]
    chance = random.Random(f"{name} 7")
    n_read = 0
    for _ in range(60 * scale):
        try:
            read(tmp_path, mutated(data, chance), reader, options)
            n_read += 1
        except InputError as error:
            assert error.exit_code == 4
            assert error.message
        for path in (tmp_path / "out").glob("*"):
            path.unlink()

    assert n_read > 0 or name == "warc gz"


REAL = [
    ("4chan", {}, "4chan-pol-2026/ndjson/*.zst", 603),
    ("4chan", {"document": "post"}, "4chan-pol-2026/ndjson/*.zst", 31_679),
    ("4chan", {"serialisation": "local-ids"}, "4chan-pol-2026/ndjson/*.zst", 603),
    ("4chan", {"document": "post"}, "4chan-pol-2026/csv/*.zst", 168_700),
    ("4chan", {}, "4chan-pol-2026/csv/*.zst", 3_419),
    ("4chan", {}, "4chan-rendered-2016-2019/*.zst", 142),
    ("4chan", {"board": "v"}, "4chan-api-json/v_*.json", 1),
    ("4chan", {"board": "a", "document": "post"}, "4chan-api-json/a_*.json", 2),
    ("4chan", {"board": "wsg"}, "4chan-api-json/wsg_*.json", 2),
    ("4chan", {}, "4chan-api-json/catalog*.json", 1),
    ("4chan", {}, "4chan-api-json/boards*.json", 1),
    ("c4", {}, "c4/c4-train*.gz", 719),
    ("c4", {}, "c4/olmo*.gz", 50),
    ("c4", {}, "c4/c4_text*.zst", 1_041),
    ("c4", {}, "commoncrawl/*jso*.gz", 20),
    ("warc", {}, "commoncrawl/*.warc.gz", 48),
    ("jsonl", {"keep": ["label"]}, "web-dclm-annotated/*.zst", 359),
    ("jsonl", {"keep": ["label", "id"]}, "web-movie-reviews/*.zst", 1_632),
    ("c4", {}, "books-public-domain/*.zst", 36),
]


@pytest.mark.parametrize(("reader", "options", "pattern", "n_records"), REAL)
def test_every_real_dump(
    tmp_path: Path, shared: Path, reader: str, options: dict[str, Any], pattern: str, n_records: int
) -> None:
    """Every real file is read whole: all records and bytes accounted for, none rejected."""
    found = sorted((shared / "data").glob(pattern))
    readings = [read(tmp_path, path, reader, options) for path in found]

    assert found
    assert n_records == sum(reading.facts["n_records"] for reading in readings)
    assert {} == {k: n for reading in readings for k, n in reading.facts["rejected"].items()}


def test_no_real_dump_is_left_out(shared: Path) -> None:
    """Every file of 4chan and of the web that lies there is read above."""
    data = shared / "data"
    found = {
        path
        for folder in ("4chan-*", "c4", "commoncrawl", "web-*")
        for path in data.glob(f"{folder}/**/*")
        if path.is_file() and path.name != "ORIGIN.txt"
    }

    assert set() == found - {path for _, _, pattern, _ in REAL for path in data.glob(pattern)}


def test_real_c4_is_clean(tmp_path: Path, shared: Path) -> None:
    """What C4's own filter promises holds of what was read: no braces, whole sentences."""
    (path,) = (shared / "data" / "c4").glob("c4-train*")
    documents = read(tmp_path, path, "c4").documents
    ends = documents["text"].str.split("\n").explode().str.tail(1)

    assert 0 == documents["text"].str.contains("{", literal=True).sum()
    assert 6_267 == len(ends)
    assert ends.is_in(list(".!?\"'\u201d")).all()
    assert 1_470_730 == documents["text"].str.len_chars().sum()
    assert 0 == documents["registered_domain"].null_count()


def test_a_sticky_thread_keeps_its_name(tmp_path: Path, shared: Path) -> None:
    """The sticky of 17 daily snapshots has one id in all of them."""
    ids: list[str] = []
    for path in sorted((shared / "data" / "4chan-pol-2026" / "csv").glob("*.zst")):
        ids += read(tmp_path, path, "4chan").ids

    assert [17, 3] == pl.Series(ids).value_counts(sort=True)["count"].head(2).to_list()


def test_gzip_members_are_one_file(tmp_path: Path) -> None:
    """C4 in two gzip members is read to the end."""
    data = gzip.compress(lines({"text": "a"})) + gzip.compress(lines({"text": "b"}))

    assert ["a", "b"] == read(tmp_path, data, "c4").texts
