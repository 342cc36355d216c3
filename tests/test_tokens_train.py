"""Training a tokenizer: the same bytes for the same texts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from curate.cli import group
from curate.errors import CurateError, InputError, UsageError
from curate.tokenizer import from_bytes, load
from curate.tokens.train import train_tokenizer
from tests.tokens_world import END, documents

TEXTS = ["low lower lowest", "new newer newest", "wide wider widest"] * 4


def curate(*arguments: str | Path) -> Result:
    """Run a command line; its errors are raised."""
    result = CliRunner().invoke(group, [str(a) for a in arguments])
    if isinstance(result.exception, CurateError):
        raise result.exception
    return result


def test_the_first_merge_is_the_commonest_pair() -> None:
    """Of "ab ab ab cd", a and b are joined first and take the first id after the bytes."""
    tokenizer = from_bytes(train_tokenizer(["ab ab ab cd"], n_vocab=259), name="ab", eos=END)

    assert [256] == tokenizer.encode("ab")
    assert 2 == len(tokenizer.encode("cd"))


def test_special_tokens_come_last() -> None:
    """EOS and padding have the last ids, and no text gives them."""
    tokenizer = from_bytes(train_tokenizer(TEXTS, n_vocab=262), name="small", eos=END)

    assert (262, 260) == (tokenizer.n_vocab, tokenizer.eos_id)
    assert 260 not in tokenizer.encode(END)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_every_text_comes_back(text: str) -> None:
    """Byte-level BPE without a normaliser decodes to exactly what was encoded."""
    tokenizer = load("builtin:demo", eos=END)

    assert text == tokenizer.decode(tokenizer.encode(text))


def test_the_order_of_texts_is_nothing() -> None:
    """Texts in another order give the same file."""
    assert train_tokenizer(TEXTS, n_vocab=270) == train_tokenizer(TEXTS[::-1], n_vocab=270)


def test_too_little_text_says_how_much_it_fills() -> None:
    """Texts that cannot fill the vocabulary are refused with the size that they can."""
    with pytest.raises(InputError, match="fill only 262 of 5,000") as caught:
        train_tokenizer(["abcd abcd abcd"], n_vocab=5000)  # 256, three merges, " abcd", 2 specials

    assert caught.value.hint.endswith("--n-vocab 262.")


def test_a_vocabulary_holds_the_bytes() -> None:
    """Fewer entries than bytes and special tokens are refused."""
    with pytest.raises(UsageError, match="at least 258 entries, not 257"):
        train_tokenizer(TEXTS, n_vocab=257)


def test_special_tokens_are_distinct() -> None:
    """The same special token twice is refused."""
    with pytest.raises(UsageError, match="distinct"):
        train_tokenizer(TEXTS, n_vocab=270, special_tokens=["<a>", "<a>"])


def demo(out: Path, **environment: str) -> bytes:
    """Train the demo tokenizer as its card says, in a process of its own."""
    subprocess.run(
        [
            *(sys.executable, "-m", "curate", "tokenizer", "train", "recipes/demo.toml"),
            *("--n-vocab", "4096", "--out", str(out / "demo.json"), "--store", str(out)),
        ],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )
    return (out / "demo.json").read_bytes()


@pytest.mark.parametrize(("hash_seed", "threads"), [("1", "1"), ("2", "4")])
def test_the_shipped_tokenizer_is_made_from_the_samples(
    root: Path, tmp_path: Path, hash_seed: str, threads: str
) -> None:
    """The card's line gives the shipped bytes under any hash seed and number of threads."""
    made = demo(tmp_path, PYTHONHASHSEED=hash_seed, RAYON_NUM_THREADS=threads)

    assert (root / "curate/models/demo-tokenizer.json").read_bytes() == made


def test_trains_on_text_files(tmp_path: Path) -> None:
    """Without a recipe, files are texts; an existing file is not replaced unasked."""
    (tmp_path / "a.txt").write_text(" ".join(TEXTS))
    line = ("tokenizer", "train", "--text-file", tmp_path / "a.txt", "--n-vocab", 262, "--json",
            "--out", tmp_path / "t.json")  # fmt: skip
    told = json.loads(curate(*map(str, line)).stdout)

    assert train_tokenizer([" ".join(TEXTS)], n_vocab=262) == (tmp_path / "t.json").read_bytes()
    assert (1, len(" ".join(TEXTS))) == (told["n_documents"], told["n_bytes"])
    with pytest.raises(UsageError, match="already there"):
        curate(*map(str, line))


def test_nothing_to_train_on_is_a_usage_error(tmp_path: Path) -> None:
    """Neither a recipe nor a text is refused."""
    with pytest.raises(UsageError, match="nothing to train on"):
        curate("tokenizer", "train", "--n-vocab", "300", "--out", tmp_path / "t.json")


def test_an_unknown_source_is_named(root: Path, tmp_path: Path) -> None:
    """A source that the recipe lacks is refused with those it has."""
    with pytest.raises(UsageError, match="no source 'web'") as caught:
        curate(
            *("tokenizer", "train", root / "recipes/demo.toml", "--source", "web"),
            *("--n-vocab", "300", "--out", tmp_path / "t.json", "--store", tmp_path / "store"),
        )

    assert "Its sources are c4, pol." == caught.value.hint


def test_shows_what_the_demo_is() -> None:
    """`show` prints the facts of the card, and the probe as JSON."""
    text = curate("tokenizer", "show", "builtin:demo").stdout
    told = json.loads(curate("tokenizer", "show", "builtin:demo", "--json").stdout)

    assert "4,096 entries, uint16" in text
    assert "<|endoftext|> = 4,094" in text
    assert list(load("builtin:demo", eos=END).probe) == told["probe"]
    assert [("<|endoftext|>", 4094, True), ("<|pad|>", 4095, True)] == [
        (t["token"], t["id"], t["special"]) for t in told["added_tokens"]
    ]


def test_checks_engines_over_documents(tmp_path: Path) -> None:
    """`check` encodes every document with both engines and counts what it compared."""
    path = documents(tmp_path, ["one", "two", END])
    told = json.loads(curate("tokenizer", "check", "builtin:demo", path, "--json").stdout)

    assert (3, 0, 6 + len(END)) == (told["n_documents"], told["n_mismatches"], told["n_bytes"])
