"""tiktoken encodings and SentencePiece models: converted, they give the library's ids."""

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError, RecipeError
from curate.tokenizer import Tokenizer, from_bytes, load, sentencepiece, tiktoken
from curate.tokens import engines
from tests.tokens_world import END, TEXTS

BYTES = {bytes([byte]): byte for byte in range(256)}
WORDS = [b"th", b"the", b" the", b" t", b"he", b"  ", b"   ", b"\n ", b"\n\n", b"12", b"aba", b"ab"]


def small_ranks() -> dict[bytes, int]:
    """The bytes, and some entries that overlap in the ways that matter."""
    return {**BYTES, **{entry: 256 + n for n, entry in enumerate(WORDS)}}


def as_file(ranks: dict[bytes, int]) -> bytes:
    """A `.tiktoken` file: an entry in base64 and its rank a line."""
    return b"".join(base64.b64encode(entry) + b" %d\n" % rank for entry, rank in ranks.items())


def learned_ranks() -> dict[bytes, int]:
    """The demo tokenizer's entries in their order: a real vocabulary, if a small one."""
    demo = json.loads(load("builtin:demo", eos=END).json)
    back = {c: bytes([byte]) for byte, c in tiktoken.byte_alphabet().items()}
    entries = [b"".join(back[c] for c in token) for token in demo["model"]["vocab"]]
    singles = [entry for entry in entries if len(entry) == 1]
    return {e: n for n, e in enumerate([*singles, *(e for e in entries if len(e) > 1)])}


def test_a_pattern_is_told_without_possessive_repeats() -> None:
    """Possessive repeats lose their plus, and the end of the text is said so."""
    assert r"\p{L}+|a?b*\p{N}{1,3}|\s+\z" == tiktoken.translated(r"\p{L}++|a?+b*+\p{N}{1,3}+|\s++$")


def test_every_pair_that_makes_an_entry_is_a_merge() -> None:
    """An entry that two pairs make up has both, one after the other."""
    ranks = {b"a": 0, b"b": 1, b"c": 2, b"ab": 3, b"bc": 4, b"abc": 5}

    assert [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc"), (b"ab", b"c")] == tiktoken.merges(ranks)


@pytest.mark.parametrize("name", sorted(tiktoken.KNOWN))
@pytest.mark.parametrize("ranks", [small_ranks(), learned_ranks()], ids=["small", "learned"])
def test_tiktoken_ids_are_kept(name: str, ranks: dict[bytes, int]) -> None:
    """For each known splitting both engines give tiktoken's own ids, whatever the text."""
    library = pytest.importorskip("tiktoken", reason="needs tiktoken, an optional package")
    # tiktoken's engine splits by the same pattern, with `$` for the end of the text.
    splitting, _ = tiktoken.KNOWN[name]
    encoding = library.Encoding(
        name, pat_str=splitting.replace(r"\z", "$"), mergeable_ranks=ranks,
        special_tokens={END: len(ranks)},
    )  # fmt: skip
    data = tiktoken.convert_loaded(encoding)
    tokenizer = from_bytes(data, name=name, eos=END)

    @given(texts=TEXTS)
    def same(texts: list[str]) -> None:
        right = [i for text in texts for i in encoding.encode_ordinary(text)]
        assert right == engines.choose(tokenizer, "tokenizers")[0].encode(texts)[0].tolist()
        assert right == engines.choose(tokenizer, "fastokens")[0].encode(texts)[0].tolist()

    same()


def test_our_patterns_are_those_of_the_library() -> None:
    """What is written down for a file is what tiktoken has for the encoding of that name."""
    library = pytest.importorskip("tiktoken_ext.openai_public", reason="needs tiktoken")
    library.load_tiktoken_bpe = lambda *a, **k: {}
    library.data_gym_to_mergeable_bpe_ranks = lambda *a, **k: {}
    theirs = {
        name: library.ENCODING_CONSTRUCTORS[name]() for name in tiktoken.KNOWN if name != "qwen"
    }

    assert {name: tiktoken.KNOWN[name] for name in theirs} == {
        name: (tiktoken.translated(told["pat_str"]), told["special_tokens"])
        for name, told in theirs.items()
    }


def test_a_tiktoken_file_is_loaded(tmp_path: Path) -> None:
    """A file of a known name becomes a tokenizer with that encoding's special tokens."""
    (tmp_path / "r50k_base.tiktoken").write_bytes(as_file(small_ranks()))
    tokenizer = load(str(tmp_path / "r50k_base.tiktoken"), eos=END)

    assert [258, 258] == tokenizer.encode(" the the")
    assert (50_257, 50_256) == (tokenizer.n_vocab, tokenizer.eos_id)
    assert "fastokens" == engines.choose(tokenizer, "auto")[0].name  # though its ids have holes


def test_an_unknown_tiktoken_file_is_refused(tmp_path: Path) -> None:
    """A file that does not say its encoding by name is refused: it lacks the splitting."""
    (tmp_path / "mine.tiktoken").write_bytes(as_file(small_ranks()))
    with pytest.raises(RecipeError, match=r"mine\.tiktoken does not say how text is split"):
        load(str(tmp_path / "mine.tiktoken"), eos=END)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (as_file(BYTES)[:1000], "lacks|is not an entry"),
        (as_file({**BYTES, b"ab": 7}), "one rank"),
        (b"no base64!\n", "line 1 is not an entry and a rank"),
        (b"YQ==\n", "line 1 is not an entry and a rank"),
    ],
)
def test_a_damaged_tiktoken_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    """Cut and garbled files are refused with the line or what is missing."""
    (tmp_path / "gpt2.tiktoken").write_bytes(data)
    with pytest.raises(InputError, match=message):
        load(str(tmp_path / "gpt2.tiktoken"), eos=END)


def test_an_unknown_encoding_is_named() -> None:
    """tiktoken's own names are listed where a name is unknown."""
    pytest.importorskip("tiktoken", reason="needs tiktoken, an optional package")
    with pytest.raises(RecipeError, match="no encoding 'gpt9'"):
        load("tiktoken:gpt9", eos=END)


TRAINING = ["the cat sat on the mat", "a hat for the cat", "12 cats, 345 hats", "that is that"] * 9
OPTIONS = {
    "vocab_size": 300,
    "model_type": "bpe",
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "minloglevel": 2,
}


UNIGRAM = {"model_type": "unigram", "hard_vocab_limit": False}
SPACELESS = {"add_dummy_prefix": False, "remove_extra_whitespaces": True}
SPELT = st.lists(
    st.sampled_from(
        ["@@", "@", "<sep>", "</s>", "<s>", "<unk>", "<0x0A>", "<0x", " ", "  ", "cat", "that",
         "\u2581", "\n", "\r\n", "\x00", "e\u0301", "\ufb01", "\u00bd", "."]
    )
).map("".join)  # fmt: skip
"""Texts that spell special pieces, between what normalisers change."""


UNIGRAM_JSON = json.dumps(
    {
        "added_tokens": [
            {"id": i, "content": content, "special": True, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False}
            for i, content in enumerate(["<unk>", "</s>"])
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581",
                          "prepend_scheme": "always", "split": True},
        "post_processor": None,
        "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always",
                    "split": True},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": [
            ["<unk>", 0.0], ["</s>", 0.0], ["\u2581", -2.0], ["cat", -3.0], ["<", -4.0],
            ["/", -4.0], ["s>", -3.5], ["s", -4.0], [">", -4.0], ["that", -3.0],
        ]},
    }
).encode()  # fmt: skip
"""As T5's: pieces of special tokens are in the vocabulary like any other."""


def sentencepiece_model(**options: Any) -> bytes:
    """A SentencePiece model trained here."""
    library = pytest.importorskip(
        "sentencepiece", reason="needs sentencepiece, an optional package"
    )
    written = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(TRAINING), model_writer=written, **{**OPTIONS, **options}
    )
    return written.getvalue()


def loaded(data: bytes, folder: Path) -> Tokenizer:
    """The tokenizer of a `.model` file."""
    (folder / "small.model").write_bytes(data)
    return load(str(folder / "small.model"), eos="</s>", bos="<s>")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byte_fallback": False, "vocab_size": 60},
        {"add_dummy_prefix": False},
        {"add_dummy_prefix": False, "user_defined_symbols": ["@@", "<sep>"]},
        {"remove_extra_whitespaces": True},
        {
            "remove_extra_whitespaces": True,
            "add_dummy_prefix": False,
            "byte_fallback": False,
            "vocab_size": 60,
        },
    ],
    ids=["llama", "no-bytes", "no-prefix", "user-defined", "no-spaces", "no-spaces-no-prefix"],
)
def test_sentencepiece_ids_are_kept(tmp_path: Path, options: dict[str, Any]) -> None:
    """A BPE model of Llama's kind gives the library's ids by both engines, whatever the text."""
    library = pytest.importorskip(
        "sentencepiece", reason="needs sentencepiece, an optional package"
    )
    data = sentencepiece_model(**options)
    model = library.SentencePieceProcessor(model_proto=data)
    tokenizer = loaded(data, tmp_path)
    fast = engines.choose(tokenizer, "auto")[0]

    @given(texts=st.one_of(TEXTS, st.lists(SPELT, max_size=5)))
    def same(texts: list[str]) -> None:
        right = [i for text in texts for i in model.encode(text)]
        assert right == engines.choose(tokenizer, "tokenizers")[0].encode(texts)[0].tolist()
        assert right == fast.encode(texts)[0].tolist()
        assert not {tokenizer.eos_id, tokenizer.bos_id} & set(right)

    same()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byte_fallback": False},
        {"normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
        {"normalization_rule_name": "nmt_nfkc_cf", "remove_extra_whitespaces": True,
         "byte_fallback": False},
        {"model_type": "bpe", "normalization_rule_name": "nmt_nfkc",
         "remove_extra_whitespaces": True},
        {"add_dummy_prefix": False, "remove_extra_whitespaces": True},
    ],
    ids=["plain", "no-bytes", "library's-default", "folded", "bpe", "no-prefix"],
)  # fmt: skip
def test_unigram_and_tables_give_as_good_ids(tmp_path: Path, options: dict[str, Any]) -> None:
    """Ids are the library's, or another cut of the same text whose score differs by rounding."""
    library = pytest.importorskip(
        "sentencepiece", reason="needs sentencepiece, an optional package"
    )
    data = sentencepiece_model(**{**UNIGRAM, **options})
    model = library.SentencePieceProcessor(model_proto=data)
    tokenizer = loaded(data, tmp_path)
    unmarked = st.text(st.characters(exclude_categories=["Cs", "Mn", "Mc", "Me", "Cf"]))

    @given(text=st.one_of(SPELT, unmarked, st.lists(SPELT | unmarked).map("".join)))
    def same(text: str) -> None:
        right, ids = model.encode(text), tokenizer.encode(text)
        assert model.normalize(text) == tokenizer.normalise(text)
        assert right == ids or sentencepiece.as_good(ids, right, model)
        assert not {tokenizer.eos_id, tokenizer.bos_id} & set(ids)

    same()


def test_a_real_text_has_the_unigram_library_s_ids(tmp_path: Path, shared: Path) -> None:
    """Web pages give the library's ids in all but the cuts that are as good as its own."""
    library = pytest.importorskip(
        "sentencepiece", reason="needs sentencepiece, an optional package"
    )
    with gzip.open(shared / "data/c4/c4-train.00000-of-00001.json.gz") as file:
        pages = [json.loads(line)["text"] for line in file][:300]
    written = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=(line for page in pages for line in page.split("\n")),
        model_writer=written, model_type="unigram", vocab_size=4_000, minloglevel=2, num_threads=1,
    )  # fmt: skip
    model = library.SentencePieceProcessor(model_proto=written.getvalue())
    tokenizer = loaded(written.getvalue(), tmp_path)
    right = [model.encode(page) for page in pages]
    ids = [tokenizer.encode(page) for page in pages]
    other = [(i, r) for i, r in zip(ids, right, strict=True) if i != r]

    assert all(sentencepiece.as_good(i, r, model) for i, r in other)
    assert len(other) <= 3


@given(text=SPELT)
def test_a_unigram_json_ends_no_document_where_its_eos_is_typed(text: str) -> None:
    """Text that spells a special piece has other ids; all other text has those of the file."""
    tokenizer = from_bytes(UNIGRAM_JSON, name="unigram", eos="</s>")
    plain = tokenizers.Tokenizer.from_buffer(UNIGRAM_JSON)
    plain.encode_special_tokens = True
    ids = tokenizer.encode(text)
    given = plain.encode(text, add_special_tokens=False).ids

    assert 1 not in ids
    assert given == ids or "</s>" in text or "<unk>" in text
    assert len(given) < len(ids) or given == ids


def test_a_worse_cut_is_not_as_good() -> None:
    """Ids of the same text by other pieces are as good only if their scores sum up alike."""
    library = pytest.importorskip(
        "sentencepiece", reason="needs sentencepiece, an optional package"
    )
    data = sentencepiece_model(**UNIGRAM)
    model = library.SentencePieceProcessor(model_proto=data)
    right = model.encode("the cat")
    letters = [model.piece_to_id(c) for c in "\u2581the\u2581cat"]

    assert model.decode(right) == model.decode(letters)
    assert sentencepiece.as_good(right, right, model)
    assert not sentencepiece.as_good(letters, right, model)
    assert not sentencepiece.as_good(right[:-1], right, model)


@pytest.mark.parametrize(
    ("pieces", "fused", "at"),
    [
        ({"<", "s"}, True, 1),
        ({"<s", "s"}, True, 2),
        ({"<s", "s>"}, True, None),
        ({"a"}, True, None),  # all three are unknown: together they are one
        ({"a"}, False, 1),
    ],
)
def test_a_text_is_cut_where_no_piece_lies_across(
    pieces: set[str], fused: bool, at: int | None
) -> None:
    """`<s>` is cut at the first border that no piece crosses, beside a character that is known."""
    assert at == sentencepiece.border("<s>", pieces, fused=fused)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"model_type": "word", "hard_vocab_limit": False}, "it is neither BPE nor Unigram"),
        ({"treat_whitespace_as_suffix": True}, "white space ends its words"),
        ({"user_defined_symbols": ["@@"]}, "it has pieces of the user's and a dummy prefix"),
        (
            {"user_defined_symbols": ["@@"], **SPACELESS},
            "it has pieces of the user's and removes white space",
        ),
        (
            {"user_defined_symbols": ["@@"], "add_dummy_prefix": False, **UNIGRAM},
            "it has pieces of the user's and is Unigram",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused(
    tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    """Kinds whose ids no tokenizer.json gives are refused with the reason."""
    with pytest.raises(InputError, match="cannot be converted") as caught:
        loaded(sentencepiece_model(**options), tmp_path)

    assert [reason] == caught.value.details


@pytest.mark.parametrize("n_cut", [1, 100, 2000])
def test_a_cut_model_is_refused(tmp_path: Path, n_cut: int) -> None:
    """A model that lacks its last bytes is refused."""
    data = sentencepiece_model()
    with pytest.raises(InputError):
        loaded(data[:-n_cut], tmp_path)
