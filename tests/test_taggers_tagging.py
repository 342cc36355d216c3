"""Documents in, tags out: declarations, the fastText adapter, pieces, parts and receipts."""

from fractions import Fraction
from pathlib import Path

import fasttext
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import files, store, taggers
from curate.errors import InputError, IntegrityError, RecipeError
from curate.fingerprint import fingerprint
from curate.taggers import shelf, units, work
from curate.taggers.fasttext import FastText
from curate.taggers.words import normalised

WHERE = "x.toml"
TEXTS = [
    "The library opens at nine.",
    "You are such a fool!\nGo away, silly man.",
    "Nice day. Nice walk. You complete idiot.",
    "…",
]


def documents(folder: Path, texts: list[str], **more: list[object]) -> Path:
    """A documents part that has only what taggers read."""
    path = folder / "part-00000.parquet"
    sizes = pl.Series([len(t.encode()) for t in texts], dtype=pl.UInt32)
    pl.DataFrame({"text": texts, "n_bytes": sizes, **more}).write_parquet(path)
    return path


def declared(**options: object) -> dict[str, object]:
    """The shipped model as a tagger called `toxicity`."""
    return taggers.declare("toxicity", {"model": "builtin:toxicity", **options}, where=WHERE)


@pytest.fixture(scope="session")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-language model trained here, on two words each."""
    folder = tmp_path_factory.mktemp("language")
    lines = "__label__en the house\n__label__de das haus\n" * 200
    (folder / "lines.txt").write_text(lines)
    model = fasttext.train_supervised(
        str(folder / "lines.txt"), dim=4, minCount=1, epoch=20, thread=1, verbose=0, bucket=10
    )
    model.save_model(str(folder / "tiny.bin"))
    return folder / "tiny.bin"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modle": "builtin:toxicity"}, 'no option "modle"; did you mean "model"?'),
        ({"model": "builtin:nothing"}, 'no built-in model "nothing"'),
        ({"model": "builtin:toxicity", "granularity": "word"}, "document, post, sentence"),
        ({"model": "builtin:toxicity", "over": "1/2"}, "needs granularity"),
        ({"model": "builtin:toxicity", "granularity": "post", "over": "2"}, "between 0 and 1"),
        ({"model": "builtin:toxicity", "sha256": "ab"}, "64 hex digits"),
        ({"model": "https://a.example/m.bin"}, "without a digest"),
        ({"model": 7}, "not a string"),
        ({"model": "builtin:toxicity", "sample": 5}, "samples nothing"),
        ({"model": "builtin:toxicity", "calibrates": "a", "sample": 0}, "number of documents"),
        ({}, "names no model"),
        ({"kind": "magic"}, "one of fasttext"),
        ({"words": []}, "lists no words"),
        ({"kind": "perspective", "head": "charm"}, "one of toxicity"),
    ],
)
def test_a_mistake_names_its_place(options: dict[str, object], message: str) -> None:
    """A wrong option says which tagger, what is wrong and what there is."""
    with pytest.raises(RecipeError) as caught:
        taggers.declare("t", options, where=WHERE)

    assert message in caught.value.render()


def test_a_declaration_holds_no_path_and_can_be_fingerprinted() -> None:
    """What is declared is plain values; the model is its digest."""
    made = declared(granularity="post", over=Fraction(1, 4))

    assert len(fingerprint(made)) == 16
    assert not any("/" in str(v) for k, v in made.items() if k != "over")
    assert files.sha256_of(shelf.located("builtin:toxicity")) == made["sha256"]
    assert "model" not in taggers.identity(made)


def test_a_pinned_model_must_be_that_model() -> None:
    """Another digest is refused before anything is loaded, with both digests."""
    with pytest.raises(IntegrityError, match="not the model that was declared") as caught:
        declared(sha256="0" * 64)

    assert 2 == len(caught.value.details)


def test_a_model_without_a_label_is_asked_for_one(language: Path) -> None:
    """A model without a card does not say what its score is."""
    with pytest.raises(RecipeError, match="which label"):
        taggers.declare("x", {"model": str(language)}, where=WHERE)

    assert (
        "en" == taggers.declare("x", {"model": str(language), "label": "en"}, where=WHERE)["label"]
    )


def test_an_unknown_label_names_the_known_ones(language: Path, tmp_path: Path) -> None:
    """The labels of a model are in the message."""
    told = taggers.declare("x", {"model": str(language), "label": "fr"}, where=WHERE)

    with pytest.raises(RecipeError, match="it has: de, en"):
        taggers.tag_part(documents(tmp_path, TEXTS), told, out=tmp_path, part="p", progress=print)


def test_scores_are_the_library_s_own(language: Path) -> None:
    """P(label) is exactly what list predict gives for each label, at most 1."""
    library = fasttext.load_model(str(language))
    lines = ["the haus", "das haus", "the the house", "nothing known"]
    labels, chances = library.predict(lines, k=2)
    wanted = [
        min(1.0, row[names.index("__label__en")])
        for names, row in zip(labels, chances, strict=True)
    ]

    scores = FastText(language, "lines").scores(pl.Series(lines), "en")

    assert np.float32 == scores.dtype
    assert np.array(wanted, np.float32).tolist() == scores.tolist()


def test_line_breaks_are_spaces_and_nothing_hides_behind_an_end_mark(language: Path) -> None:
    """`\\n` does not glue words; fastText would stop reading at the word `</s>`."""
    model = FastText(language, "lines")
    plain, broken, hidden = model.scores(
        pl.Series(["the house", "the\nhouse", "the </s> house das haus das haus"]), "en"
    ).tolist()

    assert plain == broken
    assert hidden < 0.9 < plain
    assert "the < /s> house" == normalised(pl.Series(["the </s> house"]), "lines")[0]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_normalised_lines_can_be_predicted(texts: list[str]) -> None:
    """Whatever the text, a line has no line break and the score is a probability."""
    lines = normalised(pl.Series(texts, dtype=pl.String), "words")

    assert not any("\n" in line for line in lines)
    assert len(texts) == len(lines)


@given(st.lists(st.text(alphabet="aA .!?\n-1\x1e…\"'", min_size=1), min_size=1, max_size=4))
def test_pieces_put_together_are_the_document(texts: list[str]) -> None:
    """Sentences and posts concatenate to the document exactly, and none is empty."""
    for granularity in ("sentence", "post"):
        made = units.pieces(pl.DataFrame({"text": texts}), granularity)
        whole = made.group_by("row", maintain_order=True).agg(pl.col("text").str.join(""))

        assert texts == whole["text"].to_list()
        assert 0 < made["text"].str.len_bytes().min()


@pytest.mark.parametrize(
    ("text", "posts"),
    [
        ("one\n\n\ntwo\n\nstill two", ["one\n\n\n", "two\n\nstill two"]),
        ("--- 1\none\n--- 2\ntwo", ["--- 1\none\n", "--- 2\ntwo"]),
        ("--- user\none\n--- assistant\ntwo", ["--- user\none\n", "--- assistant\ntwo"]),
        ("--- 123\none\n\\--- 2\nstill one\n-----", ["--- 123\none\n\\--- 2\nstill one\n-----"]),
    ],
)
def test_posts_are_found_in_every_serialisation(text: str, posts: list[str]) -> None:
    """A post begins at its header, or after two empty lines."""
    assert posts == units.pieces(pl.DataFrame({"text": [text]}), "post")["text"].to_list()


def test_mean_max_and_share_of_sentences(tmp_path: Path) -> None:
    """The scores of sentences, put together by hand, are the document's columns."""
    told = declared(granularity="sentence", over="1/2")
    taggers.tag_part(documents(tmp_path, TEXTS), told, out=tmp_path, part="p", progress=print)
    found = pl.read_parquet(tmp_path / "p.parquet")
    model = FastText(shelf.located("builtin:toxicity"), "marked")
    sentences = ["Nice day. ", "Nice walk. ", "You complete idiot."]
    scores = model.scores(pl.Series(sentences), "toxic")

    assert ["toxicity", "toxicity.max", "toxicity.share"] == found.columns
    assert np.float32(scores.astype(np.float64).mean()) == found["toxicity"][2]
    assert scores.max() == found["toxicity.max"][2]
    assert np.float32((scores >= 0.5).sum() / 3) == found["toxicity.share"][2]


def test_a_tags_part_has_the_rows_of_its_documents(tmp_path: Path) -> None:
    """Same rows, same order; the receipt comes last and holds the digest of the column."""
    said: list[int] = []
    facts = taggers.tag_part(
        documents(tmp_path, TEXTS),
        declared(),
        out=tmp_path / "tags",
        part="p",
        progress=said.append,
    )
    found = pl.read_parquet(tmp_path / "tags" / "p.parquet")
    model = FastText(shelf.located("builtin:toxicity"), "marked")
    scores = model.scores(pl.Series(TEXTS), "toxic")

    assert {"toxicity": pl.Float32} == dict(found.schema)
    assert scores.tolist() == found["toxicity"].to_list()
    assert len(TEXTS) == sum(said)
    assert facts == store.read_receipt(tmp_path / "tags", "p")
    assert work.column_digest(found["toxicity"]) == facts["columns"]["toxicity"]["digest"]


def test_batches_do_not_change_a_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part tagged one document at a time has the bytes of a part tagged at once."""
    path = documents(tmp_path, TEXTS * 5)
    taggers.tag_part(path, declared(), out=tmp_path / "a", part="p", progress=print)
    monkeypatch.setattr(work.Scores, "batch_bytes", 1)
    taggers.tag_part(path, declared(), out=tmp_path / "b", part="p", progress=print)

    assert (tmp_path / "a/p.parquet").read_bytes() == (tmp_path / "b/p.parquet").read_bytes()


def test_a_part_without_documents_has_the_columns(tmp_path: Path) -> None:
    """No rows, but the declared types."""
    told = declared(granularity="post")
    taggers.tag_part(documents(tmp_path, []), told, out=tmp_path, part="p", progress=print)

    assert taggers.columns(told) == {
        name: str(kind) for name, kind in pl.read_parquet_schema(tmp_path / "p.parquet").items()
    }


def test_a_score_that_is_no_number_is_refused() -> None:
    """NaN never reaches the disk, and neither does a missing row."""
    bad = pl.DataFrame({"x": [0.5, float("nan")]}, schema={"x": pl.Float32})

    with pytest.raises(IntegrityError, match="not a number"):
        work.checked(bad, {"x": "Float32"}, 2, "part")
    with pytest.raises(IntegrityError, match="gave 2 rows"):
        work.checked(bad, {"x": "Float32"}, 3, "part")


def test_column_digests_follow_the_format_page() -> None:
    """Little-endian values with nulls as zero, then one byte per row: valid or not."""
    import hashlib

    column = pl.Series([1.0, None], dtype=pl.Float32)
    said = b"\x00\x00\x80\x3f" + b"\x00\x00\x00\x00" + b"\x01\x00"

    assert hashlib.sha256(said).hexdigest() == work.column_digest(column)


def test_language_is_the_best_label(language: Path, tmp_path: Path) -> None:
    """A language model gives its best label and that label's probability."""
    told = taggers.declare("lang", {"kind": "language", "model": str(language)}, where=WHERE)
    path = documents(tmp_path, ["the house", "das haus"])
    taggers.tag_part(path, told, out=tmp_path, part="p", progress=print)
    found = pl.read_parquet(tmp_path / "p.parquet")

    assert ["en", "de"] == found["lang"].to_list()
    assert found["lang.confidence"].is_between(0.5, 1).all()


def test_words_of_a_list_are_counted_whole(tmp_path: Path) -> None:
    """Any case, whole words only, the longest entry first, spaces as any space."""
    told = taggers.declare("rude", {"words": ["Silly Fool", "fool", "&%!"]}, where=WHERE)
    texts = ["A silly\nfool, a FOOL; foolish.", "nothing", "what the &%! is this"]
    path = documents(tmp_path, texts)
    taggers.tag_part(path, told, out=tmp_path, part="p", progress=print)

    assert [2, 0, 1] == pl.read_parquet(tmp_path / "p.parquet")["rude"].to_list()


def test_a_word_list_may_be_a_file(tmp_path: Path) -> None:
    """One entry a line; the declaration holds the words, not the file's name."""
    (tmp_path / "list.txt").write_text("# mild\nfool\n\nSilly\n")
    told = taggers.declare("rude", {"files": [str(tmp_path / "list.txt")]}, where=WHERE)

    assert ["fool", "silly"] == told["words"]


def test_scores_of_the_dump_stay_as_they_are(tmp_path: Path) -> None:
    """Perspective's scores become a tag; null stays null, and so does a column that is missing."""
    given_scores = pl.Series([0.25, None, 1.0, 0.0], dtype=pl.Float32)
    path = documents(tmp_path, TEXTS, **{"perspective.insult": given_scores})  # type: ignore[arg-type]
    for head, wanted in (("insult", [0.25, None, 1.0, 0.0]), ("spam", [None] * 4)):
        told = taggers.declare("p", {"kind": "perspective", "head": head}, where=WHERE)
        facts = taggers.tag_part(path, told, out=tmp_path / head, part="p", progress=print)

        assert wanted == pl.read_parquet(tmp_path / head / "p.parquet")["p"].to_list()
        assert wanted.count(None) == facts["columns"]["p"]["n_null"]


def test_a_score_of_the_dump_outside_its_range_is_an_error(tmp_path: Path) -> None:
    """Perspective's scores are probabilities."""
    path = documents(tmp_path, ["a"], **{"perspective.toxicity": [1.5]})
    told = taggers.declare("p", {"kind": "perspective"}, where=WHERE)

    with pytest.raises(InputError, match="outside 0 to 1"):
        taggers.tag_part(path, told, out=tmp_path, part="p", progress=print)


def test_models_of_a_declaration_are_fit_for_a_lock() -> None:
    """File, digest, bytes and licence; a tagger without a model has none."""
    (facts,) = taggers.models(declared())

    assert {"tagger", "name", "sha256", "bytes", "license"} == set(facts)
    assert [] == taggers.models(taggers.declare("w", {"words": ["a"]}, where=WHERE))


def test_taggers_that_calibrate_come_after_what_they_calibrate(language: Path) -> None:
    """The declaration of the cheap tagger is part of the dear one's, whatever their names."""
    tables = {
        "a-dear": {"model": str(language), "label": "en", "calibrates": "cheap", "sample": 3},
        "cheap": {"model": "builtin:toxicity"},
    }
    made = taggers.declare_all(tables, where=WHERE)

    assert ["cheap", "a-dear"] == list(made)
    assert taggers.identity(made["cheap"]) == made["a-dear"]["cheap"]
    assert "cheap.calibrated" in taggers.columns(made["a-dear"])
    with pytest.raises(RecipeError, match="no tagger on its own"):
        taggers.declare_all({"a-dear": tables["a-dear"]}, where=WHERE)
