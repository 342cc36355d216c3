"""The token pool: what is in `.ids`, `.parquet` and the receipt."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import document, store
from curate.errors import InputError, RecipeError
from curate.tokenizer import Tokenizer, from_bytes, load
from curate.tokens import declare, engines
from tests import tiny_files
from tests.test_tokenizer import words
from tests.tokens_world import AWKWARD, END, TEXTS, encode


@pytest.fixture
def demo() -> Tokenizer:
    """The tokenizer that ships."""
    return load("builtin:demo", eos=END)


def test_bytes_are_written_as_ids(tmp_path: Path) -> None:
    """Two texts give their bytes, an end after each, and the sums of both."""
    ids, rows, facts = encode(tmp_path, ["Hi", "é"])

    assert [[72, 105, 256], [195, 169, 256]] == ids
    data = b"\x48\0\x69\0\x00\x01\xc3\0\xa9\0\x00\x01"
    assert data == (tmp_path / "p.ids").read_bytes()
    assert [
        {"row": 0, "piece": None, "key": document.key("d0"), "n_tokens": 3, "n_bytes": 2,
         "offset": 0, "digest": hashlib.sha256(data[:6]).digest()[:16]},
        {"row": 1, "piece": None, "key": document.key("d1"), "n_tokens": 3, "n_bytes": 2,
         "offset": 3, "digest": hashlib.sha256(data[6:]).digest()[:16]},
    ] == rows.to_dicts()  # fmt: skip
    assert {
        "n_documents": 2, "n_rows": 2, "n_tokens": 6, "n_bytes": 4,
        "ids_sha256": hashlib.sha256(data).hexdigest(),
        "parity": {"n_documents": 2, "n_mismatches": 0}, "added_tokens": {},
    } == {k: v for k, v in facts.items() if not k.startswith("engine")}  # fmt: skip
    assert facts == store.read_receipt(tmp_path, "p")


def test_the_columns_are_those_of_the_format(tmp_path: Path) -> None:
    """Names and types of docs/format.md §3.3."""
    _, rows, _ = encode(tmp_path, ["a"])

    assert {
        "row": pl.UInt32, "piece": pl.UInt32, "key": pl.Binary, "n_tokens": pl.UInt32,
        "n_bytes": pl.UInt32, "offset": pl.UInt64, "digest": pl.Binary,
    } == dict(rows.schema)  # fmt: skip


def test_wide_vocabularies_take_four_bytes(tmp_path: Path) -> None:
    """With 65,537 entries each id is a little-endian uint32."""
    wide = from_bytes(words(65_537), name="wide", eos="w1")
    encode(tmp_path, ["w65536 w2"], wide)

    assert bytes.fromhex("00000100 02000000 01000000") == (tmp_path / "p.ids").read_bytes()


def test_bos_begins_every_row(tmp_path: Path) -> None:
    """With a BOS, rows and pieces begin with it."""
    tokenizer = from_bytes(words(9), name="words", eos="w1", bos="w2")
    ids, _, _ = encode(tmp_path, ["w3", "w4 w5 w6"], tokenizer, max_document_tokens=4)

    assert [[2, 3, 1], [2, 4, 5, 1], [2, 6, 1]] == ids


def test_nothing_to_encode_is_an_empty_part(tmp_path: Path) -> None:
    """A part without documents has no ids and says so."""
    ids, rows, facts = encode(tmp_path, [])

    assert ([], 0, 0) == (ids, rows.height, facts["n_tokens"])


def test_a_text_that_vanishes_is_an_end_alone(tmp_path: Path) -> None:
    """A text that the normaliser empties keeps its row, so that the plan can count it."""
    record = json.loads(tiny_files.tokenizer_json())
    record["normalizer"] = {"type": "Replace", "pattern": {"String": "x"}, "content": ""}
    tokenizer = from_bytes(json.dumps(record).encode(), name="no-x", eos=END)

    assert [[97, 256], [256], [98, 256]] == encode(tmp_path, ["a", "xxx", "b"], tokenizer)[0]


@given(texts=TEXTS)
def test_rows_decode_to_their_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    """Every row is its text's bytes and one end, whatever is typed in it."""
    folder = tmp_path_factory.mktemp("pool")
    ids, rows, _ = encode(folder, texts)

    assert [[*text.encode(), 256] for text in texts] == ids
    assert [len(text.encode()) for text in texts] == rows["n_bytes"].to_list()


@pytest.mark.parametrize("name", ["allenai_gpt-neox-olmo-dolma-v1_5", "allenai_dolma2", "demo"])
def test_both_engines_write_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, name: str
) -> None:
    """`tokenizers` and `fastokens` give the same pool for any text, special tokens typed or not."""
    if name == "demo":
        tokenizer = load("builtin:demo", eos=END)
    else:
        shared: Path = request.getfixturevalue("shared")
        tokenizer = load(str(shared / f"tokenizers/{name}.json"), eos=END)
    scale: int = request.getfixturevalue("scale")

    @given(texts=TEXTS)
    def same(texts: list[str]) -> None:
        fast = engines.choose(tokenizer, "fastokens")[0].encode(texts)
        slow = engines.choose(tokenizer, "tokenizers")[0].encode(texts)
        assert slow[1].tolist() == fast[1].tolist()
        assert slow[0].tolist() == fast[0].tolist()
        assert tokenizer.eos_id not in fast[0]

    for _ in range(scale):
        same()


def test_rows_decode_to_the_normalised_text(tmp_path: Path, demo: Tokenizer) -> None:
    """With merges, ids decode to what the tokenizer's normaliser makes of the text."""
    texts = ["".join(AWKWARD), "The quick brown fox.", END * 3]
    ids, _, _ = encode(tmp_path, texts, demo)

    assert [demo.normalise(text) for text in texts] == [demo.decode(row[:-1]) for row in ids]
    assert [demo.eos_id] * 3 == [row[-1] for row in ids]
    assert all(demo.eos_id not in row[:-1] for row in ids)


@given(texts=TEXTS, limit=st.integers(3, 30))
def test_pieces_are_the_document(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], limit: int
) -> None:
    """Pieces end with EOS, fit the limit, and together hold the ids and bytes of the document."""
    folder = tmp_path_factory.mktemp("pool")
    ids, rows, facts = encode(folder, texts, max_document_tokens=limit)

    assert facts["n_rows"] == len(ids)
    for n, text in enumerate(texts):
        mine = [i for i, row in enumerate(rows["row"]) if row == n]
        content = [i for m in mine for i in ids[m][:-1]]
        assert list(text.encode()) == content
        assert len(text.encode()) == sum(rows["n_bytes"][m] for m in mine)
        assert all(2 <= len(ids[m]) <= limit and ids[m][-1] == 256 for m in mine)
        if len(mine) == 1:
            assert [None, document.key(f"d{n}")] == [rows["piece"][mine[0]], rows["key"][mine[0]]]
        else:
            assert list(range(1, len(mine) + 1)) == [rows["piece"][m] for m in mine]
            assert [document.key(f"d{n}#{k + 1}") for k in range(len(mine))] == [
                rows["key"][m] for m in mine
            ]
            assert [len(ids[m]) - 1 for m in mine] == [rows["n_bytes"][m] for m in mine]


@given(text=st.text(st.sampled_from("aé你🙂"), min_size=1, max_size=60), limit=st.integers(6, 12))
def test_pieces_are_cut_between_characters(
    tmp_path_factory: pytest.TempPathFactory, text: str, limit: int
) -> None:
    """Where a piece can hold a whole character, no character is torn."""
    ids, _, _ = encode(tmp_path_factory.mktemp("pool"), [text], max_document_tokens=limit)

    assert text == "".join(bytes(row[:-1]).decode() for row in ids)


def test_bytes_of_pieces_sum_up_where_a_normaliser_changes_them(tmp_path: Path) -> None:
    """Where tokens stand for fewer bytes than the text had, the pieces share what it had."""
    record = json.loads(tiny_files.tokenizer_json())
    record["normalizer"] = {"type": "NFC"}
    tokenizer = from_bytes(json.dumps(record).encode(), name="nfc", eos=END)
    ids, rows, _ = encode(tmp_path, ["e\u0301" * 4], tokenizer, max_document_tokens=5)

    assert [5, 5] == [len(row) for row in ids]  # four é of two bytes
    assert [6, 6] == rows["n_bytes"].to_list()  # of twelve bytes of text


def test_no_room_for_a_piece_is_refused(demo: Tokenizer) -> None:
    """A limit that leaves less than two ids of content is a mistake of the recipe."""
    with pytest.raises(RecipeError, match="no room"):
        declare(demo, max_document_tokens=2)


def test_added_tokens_are_matched_and_counted(tmp_path: Path) -> None:
    """A token that is not marked special is matched in text, and counted by its text."""
    record = json.loads(tiny_files.tokenizer_json())
    record["added_tokens"].append(
        {**record["added_tokens"][0], "id": 257, "content": "|MAIL|", "special": False}
    )
    tokenizer = from_bytes(json.dumps(record).encode(), name="mail", eos=END)
    ids, _, facts = encode(tmp_path, ["a|MAIL|", "|MAIL||MAIL|"], tokenizer)

    assert [[97, 257, 256], [257, 257, 256]] == ids
    assert {"|MAIL|": 3} == facts["added_tokens"]


def test_an_end_made_from_text_is_refused(tmp_path: Path) -> None:
    """A tokenizer whose EOS is an ordinary word is caught at the document that holds it."""
    tokenizer = from_bytes(words(9), name="words", eos="w1")
    with pytest.raises(InputError, match=document.key("d1").hex()) as caught:
        encode(tmp_path, ["w2", "w3 w1"], tokenizer)

    assert "row 1 of part p, its token 1" == caught.value.details[0]
    assert ["documents.parquet"] == [path.name for path in tmp_path.iterdir()]


def test_an_interrupted_part_leaves_nothing(tmp_path: Path) -> None:
    """A failure while encoding leaves neither files nor a receipt."""

    def fail(n_documents: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(tmp_path, ["one"], progress=fail)
    assert ["documents.parquet"] == [path.name for path in tmp_path.iterdir()]


def test_progress_counts_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches report their documents, which sum up to the part; their size changes no byte."""
    texts = [chr(97 + n) * (n + 1) for n in range(20)]
    whole = encode(tmp_path, texts)[2]
    told: list[int] = []
    monkeypatch.setattr(engines.Fast, "batch_bytes", 32)
    monkeypatch.setattr("curate.tokens.batches.READ_BYTES", 70)
    facts = encode(tmp_path, texts, progress=told.append)[2]

    assert whole == facts
    assert 20 == sum(told)
    assert len(told) > 6


@given(
    words=st.lists(st.integers(0, 5000), max_size=50),
    borders=st.lists(st.integers(0, 50), max_size=5),
)
def test_the_sample_does_not_depend_on_batches(words: list[int], borders: list[int]) -> None:
    """The rows compared are the same however a part is cut into batches."""
    from curate.tokens.parity import chosen

    keys = np.array(words, dtype=np.uint64)
    cuts = sorted({0, len(words), *(min(b, len(words)) for b in borders)})
    whole = chosen(keys, first_row=0, n_rows=len(words)).tolist()

    assert whole == [
        a + row
        for a, b in pairwise(cuts)
        for row in chosen(keys[a:b], first_row=a, n_rows=len(words)).tolist()
    ]
    assert {n for n, w in enumerate(words) if w % 1000 == 0} <= set(whole)
    assert min(len(words), 8) <= len(whole)


def test_the_declaration_names_what_decides_ids(demo: Tokenizer) -> None:
    """The tokenizer's digest, EOS and the limit are declared; no name, no engine."""
    assert {
        "format": 1,
        "tokenizer": demo.sha256,
        "eos": {"token": END, "id": demo.eos_id},
        "max_document_tokens": 100,
    } == declare(demo, max_document_tokens=100)
