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

TOLD = Told(keep=50, known=2, least=1, penalty=1e-3, rounds=50)


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
    found = features.counted(["ab cde", ""])

    assert ["ab", "cde", "</s>"] == found.words
    # <ab> and <cde cde> <cde>, then ab cde and cde </s>: six marks for three words.
    assert 6 == len(found.marks)
    assert [0, 9] == found.starts.tolist()
    assert 10 == len(found.of)
    assert 2 == found.of[9]


words = st.text(alphabet="abé✓", min_size=1, max_size=7)


@settings(max_examples=40)
@given(
    st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=5),
    st.integers(0, 2**32),
)
def test_the_library_averages_what_is_counted_here(lines: list[str], seed: int) -> None:
    """For any lines and any kept features, its probability is that of the mean of our weights."""
    found = features.counted(lines)
    draw = np.random.default_rng(seed)
    numbers = fasttext_built.steps(8.0)
    weights = draw.choice(numbers[1:], len(found.words) + len(found.marks)).astype(np.float64)
    weights[found.words.index("</s>")] = 8.0  # sets the steps of the file
    kept = draw.random(len(weights)) < 0.7
    kept[found.words.index("</s>")] = True
    n = len(found.words)
    file = fasttext_built.built(
        {name: weights[at] for at, name in enumerate(found.words) if kept[at]},
        {int(mark): weights[n + at] for at, mark in enumerate(found.marks) if kept[n + at]},
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


def test_a_kept_table_has_its_features_in_order() -> None:
    """Features 0 and 2 of three, over two lines, numbered anew."""
    table = Table(np.array([0, 1, 2, 2, 1, 0]), np.array([0, 3]), 3)
    kept = table.kept(np.array([True, False, True]))

    assert [0, 1, 1, 0] == kept.of.tolist()
    assert [0, 2] == kept.starts.tolist()
    assert [2, 2] == kept.lengths.tolist()


def test_without_a_penalty_the_odds_are_those_of_the_labels() -> None:
    """One feature, toxic in three of four votes: its weight is log 3, however long the line."""
    table = Table(np.array([0, 0, 0]), np.array([0, 1]), 1)
    found = regression.solved(
        table,
        np.array([0.75, 0.75]),
        np.array([4.0, 1.0]),
        Told(keep=1, known=0, least=1, penalty=1e-9, rounds=50),
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


def test_what_is_kept_decides_most_and_is_known() -> None:
    """Of many words the telling one and the two most frequent stay; the model tells lines apart."""
    lines = [f"such a {word} number {n}" for n in range(40) for word in ("fool", "day")]
    toxic = np.array([1.0, 0.0] * 40)
    model = regression.fitted(lines, toxic, np.ones(80), TOLD)

    assert TOLD.keep == len(model.words) + len(model.marks)
    assert {"such", "a"} <= model.words.keys()
    assert model.words["fool"] > 0 > model.words["day"]
    assert model.words["fool"] == max(model.words.values())


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    """Parsed here and by the library: labels, words, pieces; cut anywhere it is no model."""
    file = fasttext_built.built({"</s>": -1.0, "fool": 4.0}, {7: 2.0, 5: -3.0}, labels=("x", "y"))
    found = fasttext_file.header(file)
    (tmp_path / "m.ftz").write_bytes(file)
    model = fasttext.load_model(str(tmp_path / "m.ftz"))

    assert (("__label__x", "__label__y"), 2, 4, True) == (
        found.labels, found.n_words, found.n_rows, found.quantized,
    )  # fmt: skip
    assert model.get_labels() == list(found.labels)
    for end in range(len(file)):
        with pytest.raises(fasttext_file.InputError):
            fasttext_file.header(file[:end])


@given(st.floats(0.01, 100))
def test_steps_are_symmetric_and_reach_as_far_as_asked(largest: float) -> None:
    """The largest weight has a number next to it, and 0 is one of them."""
    numbers = fasttext_built.steps(largest)

    assert 0 in numbers
    assert numbers[1] == -numbers[255]
    assert largest <= numbers[255] <= 2 * largest
    assert (np.diff(numbers) > 0).all()
