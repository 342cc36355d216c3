"""The regression: what fastText counts is counted, what fits best is found, and it is its file."""

import math
import tempfile
from pathlib import Path

import fasttext
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.taggers import fasttext_built, fasttext_file, features, regression
from curate.taggers.regression import Table, Told

TOLD = Told(bucket=1000, penalty=1e-3, rounds=50)


def test_the_hash_is_fnv_with_signed_bytes() -> None:
    """FNV-1a of "a" is published as e40c292c; a byte over 127 is taken as a negative number."""
    assert 0xE40C292C - (1 << 32) == features.hashed("a")
    assert 2166136261 - (1 << 32) == features.hashed("")
    # U+00E9 is the bytes c3 a9: as signed numbers -61 and -87.
    step = ((2166136261 ^ (-61 & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
    step = ((step ^ (-87 & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
    assert (step - (1 << 32) if step >> 31 else step) == features.hashed("é")


def test_a_line_s_features_are_its_words_pieces_and_pairs() -> None:
    """`ab` is too short for more than one piece; `</s>` has none; each line is a run."""
    found = features.counted(["ab cde", ""], buckets=1_000_000)

    assert ["ab", "cde", "</s>"] == found.words
    # ab <ab> pair; cde <cde <cde> cde> pair; </s>; then </s> again.
    assert [0, 9] == found.starts.tolist()
    assert 10 == len(found.of)
    assert [0, 1, 2, 2] == found.of[found.of < 3].tolist()
    assert 3 + (features.hashed("<ab>") & 0xFFFFFFFF) % 1_000_000 == found.of[1]


words = st.text(alphabet="abé✓", min_size=1, max_size=7)


@settings(max_examples=40)
@given(
    st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=5),
    st.integers(1, 1000),
    st.integers(0, 2**32),
)
def test_the_library_averages_what_is_counted_here(
    lines: list[str], buckets: int, seed: int
) -> None:
    """For any lines, known words and buckets, its probability is that of our weights' mean."""
    found = features.counted(lines, buckets=buckets)
    n = len(found.words)
    draw = np.random.default_rng(seed)
    weights = draw.normal(0, 4, n + buckets)
    kept = draw.random(n + buckets) < 0.7
    kept[n:] = kept[found.words.index("</s>")] = True
    file = fasttext_built.built(
        {name: weights[at] for at, name in enumerate(found.words) if kept[at]},
        weights[n:],
        labels=("toxic", "clean"),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ftz"
        path.write_bytes(file)
        model = fasttext.load_model(str(path))
        for line, of in zip(lines, np.split(found.of, found.starts[1:]), strict=True):
            odds = weights[of[kept[of]]].mean()
            chances = dict(zip(*model.predict(line, k=2), strict=True))
            assert abs(1 / (1 + math.exp(-odds)) - chances["__label__toxic"]) < 1e-4


def test_without_a_penalty_the_odds_are_those_of_the_labels() -> None:
    """One feature, toxic in three of four votes: its weight is log 3, however long the line."""
    table = Table(np.array([0, 0, 0]), np.array([0, 1]), 1)
    found = regression.solved(
        table,
        np.array([0.75, 0.75]),
        np.array([4.0, 1.0]),
        Told(bucket=1, penalty=1e-9, rounds=50),
    )

    assert math.isclose(math.log(3), found[0], rel_tol=1e-6)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_the_least_of_any_bowl_is_found(seed: int, n: int) -> None:
    """A quadratic with any positive matrix: its minimum is where the slope is nothing."""
    draw = np.random.default_rng(seed)
    root = draw.normal(size=(n, n))
    matrix, goal = root @ root.T + np.eye(n), draw.normal(size=n)
    found = regression.minimised(
        lambda x: (float((x - goal) @ matrix @ (x - goal)), 2 * matrix @ (x - goal)),
        np.zeros(n),
        rounds=100,
    )

    assert np.allclose(goal, found, atol=1e-4)


def test_the_model_tells_lines_apart_and_keeps_its_steps() -> None:
    """Every word has a weight, frequent ones first; the telling one weighs most, in steps."""
    lines = [f"such a {word} number {n}" for n in range(40) for word in ("fool", "day")]
    model = regression.fitted(lines, np.array([1.0, 0.0] * 40), np.ones(80), TOLD)
    words = list(model.words)

    assert {"such", "a", "number", "</s>"} == set(words[:4])
    assert ["fool", "day"] == words[4:6]
    assert {str(n) for n in range(40)} == set(words[6:])
    assert TOLD.bucket == len(model.buckets)
    assert model.words["fool"] > 0 > model.words["day"]
    assert model.words["fool"] == max(model.words.values())
    for weight in (*model.words.values(), *model.buckets.tolist()):
        assert (weight * 256).is_integer()


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    """Parsed here and by the library: labels, words, buckets; cut anywhere it is no model."""
    words = {"</s>": -1.0, "fool": 4.0}
    file = fasttext_built.built(words, np.array([2.0, -3.0, 0.0]), labels=("x", "y"))
    found = fasttext_file.header(file)
    (tmp_path / "m.ftz").write_bytes(file)
    model = fasttext.load_model(str(tmp_path / "m.ftz"))

    assert (("__label__x", "__label__y"), 1, 2, 5, False) == (
        found.labels, found.dim, found.n_words, found.n_rows, found.quantized,
    )  # fmt: skip
    assert model.get_labels() == list(found.labels)
    for end in range(len(file)):
        with pytest.raises(fasttext_file.InputError):
            fasttext_file.header(file[:end])
