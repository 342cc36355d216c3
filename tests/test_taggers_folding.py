"""Folding: the same probabilities from one number per row, and no other kind of model."""

from pathlib import Path

import fasttext
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from curate.errors import InputError
from curate.taggers import fasttext_file, folding

LINES = [
    f"__label__{'toxic' if word == 'fool' else 'clean'} such a {word} in line number {n}"
    for n in range(60)
    for word in ("fool", "day")
]


def trained(folder: Path, lines: list[str], **options: object) -> Path:
    """A small model of words, pairs and pieces of words."""
    (folder / "lines.txt").write_text("\n".join(lines) + "\n")
    told = {"dim": 5, "minn": 2, "maxn": 4, "wordNgrams": 2, "bucket": 300, "minCount": 1}
    model = fasttext.train_supervised(
        str(folder / "lines.txt"), thread=1, seed=3, verbose=0, **{**told, **options}
    )
    model.save_model(str(folder / "model.bin"))
    return folder / "model.bin"


def test_a_folded_model_is_the_same_function(tmp_path: Path) -> None:
    """Known words, unknown words, pairs and an empty line: the same labels within 1e-5."""
    path = trained(tmp_path, LINES)
    small = tmp_path / "small.bin"
    small.write_bytes(folding.folded(path.read_bytes()))
    whole, one = fasttext.load_model(str(path)), fasttext.load_model(str(small))

    asked = [line.partition(" ")[2] for line in LINES] + ["never seen before", "fool fool", ""]
    for text in asked:
        before, after = (dict(zip(*m.predict(text, k=2), strict=True)) for m in (whole, one))
        assert before.keys() == after.keys()
        assert max(abs(before[label] - after[label]) for label in before) < 1e-5

    dense, folded = (fasttext_file.header(each.read_bytes()) for each in (path, small))
    assert (5, 1) == (dense.dim, folded.dim)
    assert (dense.labels, dense.n_rows) == (folded.labels, folded.n_rows)
    # Four numbers fewer for each row of the input and each of the two labels.
    assert 4 * 4 * (dense.n_rows + 2) == path.stat().st_size - small.stat().st_size


@pytest.mark.parametrize(
    "lines, options",
    [
        ([*LINES, "__label__other something else"], {}),
        (LINES, {"loss": "ova"}),
    ],
)
def test_only_two_labels_and_softmax_fold(
    tmp_path: Path, lines: list[str], options: dict[str, object]
) -> None:
    """Three labels need two numbers per row; another loss has other probabilities."""
    path = trained(tmp_path, lines, **options)

    with pytest.raises(InputError, match="two labels, softmax"):
        folding.folded(path.read_bytes())


@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**32))
def test_the_difference_of_the_labels_is_kept(dim: int, n: int, seed: int) -> None:
    """For any rows and labels, (a − b) · v of the folded ones is that of the whole ones."""
    draw = np.random.default_rng(seed)
    rows: NDArray[np.float32] = draw.normal(size=(n, dim)).astype(np.float32)
    labels: NDArray[np.float32] = draw.normal(size=(2, dim)).astype(np.float32)
    one, two = folding.folded_rows(rows, labels)

    assert (n, 1) == one.shape
    assert np.allclose(rows @ (labels[0] - labels[1]), one @ (two[0] - two[1]), atol=1e-4)
