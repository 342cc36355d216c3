"""Texts are encoded again from their first id to their last, and no others."""

import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curate.audit import decode, texts
from curate.audit.findings import Finding
from curate.audit.verify import verify
from tests.audit.damage import manifest_of
from tests.tiny_files import seal, tokenizer_json
from tests.tiny_mix import Document, web, write


def merging(folder: Path, pair: str, bos: bool = False) -> list[Finding]:
    """What encoding again finds with a tokenizer that merges these two letters."""
    whole = json.loads(tokenizer_json(bos))
    vocabulary = whole["model"]["vocab"]
    del vocabulary[next(token for token, id_ in vocabulary.items() if id_ == 0)]
    vocabulary[pair] = 0
    whole["model"]["merges"] = [list(pair)]
    data = json.dumps(whole).encode()
    (folder / "tokenizer.json").write_bytes(data)
    lie = manifest_of(folder)
    lie["content"]["tokenizer"]["sha256"] = hashlib.sha256(data).hexdigest()
    seal(folder, lie)
    return list(verify(folder, retokenize=None).findings)


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("text", ["qz at the start", "in the qz middle", "at the end qz", "qz"])
def test_a_merge_anywhere_in_a_text_changes_its_ids(tmp_path: Path, text: str, bos: bool) -> None:
    """The first two letters, the last two, and all there are."""
    pages = [web("Nothing of the kind.", 1), web(text, 2)]
    folder = write(tmp_path / "t" / "1", documents=pages, bos=bos)
    ids = pl.read_parquet(folder / "spans.parquet")["id"].to_list()

    assert [("tokenizer", f"span {ids.index(pages[1].id)}")] == [
        (f.kind, f.where) for f in merging(folder, "qz", bos)
    ]


def test_documents_that_are_not_whole_are_not_compared() -> None:
    """Cut, begun later, with inserted ids, or a piece: their texts are not the documents'."""
    pages = [web("Page.", n) for n in range(5)]
    table = pl.DataFrame(
        {
            "id": [*(p.id for p in pages[:4]), f"{pages[4].id}#1", "4chan:pol/1", "4chan:pol/1#2"],
            "url": [*(page.url for page in pages), None, None],
            "cut": [False, True, *[False] * 5],
            "first": [0, 0, 3, *[0] * 4],
            "n_inserted": [0, 0, 0, 1, 0, 0, 0],
        }
    )  # fmt: skip

    assert [True, False, False, False, False, True, False] == texts.whole_documents(table).to_list()


def test_more_documents_than_a_lot_are_all_encoded(tmp_path: Path) -> None:
    """Of 1,001 texts every one merges: twenty are listed, the others counted."""
    pages = [Document(f"sha256:{n:064x}", f"Page {n}.", "clean") for n in range(1_001)]
    folder = write(tmp_path / "t" / "1", documents=pages)

    assert [("tokenizer", "and 981 more of this kind")] == [
        (f.kind, f.what) for f in merging(folder, "Pa")[20:]
    ]


def test_what_a_tokenizer_adds_by_itself_is_not_of_the_text(tmp_path: Path) -> None:
    """A tokenizer.json that ends every text with EOS by a template gives the same ids."""
    folder = write(tmp_path / "t" / "1", documents=[web("Page.", 1)])
    end = "<|endoftext|>"
    parts = [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": end, "type_id": 0}}]
    whole = json.loads(tokenizer_json())
    whole["post_processor"] = {
        "type": "TemplateProcessing",
        "single": parts,
        "pair": [*parts, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {end: {"id": end, "ids": [256], "tokens": [end]}},
    }
    data = json.dumps(whole).encode()
    (folder / "tokenizer.json").write_bytes(data)
    facts = manifest_of(folder)
    facts["content"]["tokenizer"]["sha256"] = hashlib.sha256(data).hexdigest()
    seal(folder, facts)

    assert () == verify(folder, semantic=True, retokenize=None).findings


def test_ids_outside_the_vocabulary_stand_for_nothing() -> None:
    """A, nothing, nothing, B; where each begins, and the end."""
    vocabulary = decode.parse(json.loads(tokenizer_json()))
    data, edges = vocabulary.decode(np.array([65, 257, 65_535, 66], dtype=np.uint16))

    assert (b"AB", [0, 1, 1, 1, 2]) == (data.tobytes(), edges.tolist())


def test_a_piece_s_place_in_a_list_is_its_id() -> None:
    """Unigram's vocabulary is a list: three pieces are ids 0 to 2, and none can be decoded here."""
    vocabulary = decode.parse({"model": {"vocab": [["<unk>", 0.0], ["</s>", 0.0], ["a", -1.5]]}})

    assert (3, {"<unk>": 0, "</s>": 1, "a": 2}) == (vocabulary.n_ids, vocabulary.ids)
    assert not vocabulary.byte_level


@pytest.mark.parametrize(
    ("text", "source", "kinds"),
    [
        ("caf\u00e9", "cafe\u0301", set()),  # the accent was apart before NFC
        ("4 K", "4 \u212a", set()),  # the sign for kelvin becomes the letter
        ("4 k", "4 \u212a", {"text"}),  # no other text becomes a small k
        ("caf\u00e9", "caf\u00e9", set()),
    ],
)
def test_under_a_normaliser_only_what_it_cannot_have_changed_is_proof(
    tmp_path: Path, text: str, source: str, kinds: set[str]
) -> None:
    """The row holds the digest of the text as it came, the ids are of the text as it became."""
    folder = write(tmp_path / "t" / "1", documents=[web(text, 1)])
    rows = pl.read_parquet(folder / "spans.parquet")
    rows.with_columns(
        content=pl.lit(hashlib.sha256(source.encode()).digest()[:16]),
        n_bytes=pl.lit(len(text.encode()), dtype=pl.UInt32),
    ).write_parquet(folder / "spans.parquet")
    whole = json.loads(tokenizer_json())
    data = json.dumps({**whole, "normalizer": {"type": "NFC"}}).encode()
    (folder / "tokenizer.json").write_bytes(data)
    facts = manifest_of(folder)
    facts["content"]["tokenizer"]["sha256"] = hashlib.sha256(data).hexdigest()
    seal(folder, facts)
    report = verify(folder, semantic=True)
    proven = f"texts: {int(text == source)} spans decode"

    assert kinds == {f.kind for f in report.findings}
    assert any(line.startswith(proven) for line in report.checked)
