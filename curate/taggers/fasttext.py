"""
Turn a column of texts into probabilities of a fastText model's labels.

One call of the library's list predict per batch, which every maintained build of it has; all
labels are asked for, because 1 − p of the best label differs from the library's own p of the
other (it adds 1e-5 to each). The file was parsed and tried in a child process before (`probe`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError, IntegrityError, RecipeError
from curate.taggers.words import normalised

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

PREFIX = "__label__"


class FastText:
    """A loaded model. `labels` are without their prefix, in the order of the file."""

    def __init__(self, path: Path, normalise: str) -> None:
        import fasttext

        fasttext.FastText.eprint = lambda *_: None  # it warns about nothing on every load
        try:
            self._model = fasttext.load_model(str(path))
        except (ValueError, MemoryError, RuntimeError) as error:
            raise InputError(f"{path.name} is not a fastText model: {error}") from None
        self.labels = [label.removeprefix(PREFIX) for label in self._model.get_labels()]
        self.normalise = normalise

    def predict(self, texts: "pl.Series", k: int) -> "tuple[list[list[str]], list[Any]]":
        """The k best labels (with prefix) of n texts and their probabilities, best first."""
        # What `predict` does to a list, without its search for line breaks: there are none.
        lines = normalised(texts, self.normalise, end="\n")
        labels, chances = self._model.f.multilinePredict(lines, k, 0.0, "strict")
        return labels, chances

    def scores(self, texts: "pl.Series", label: str) -> "npt.NDArray[np.float32]":
        """P(label) of n texts: float32 (n,), at most 1; RecipeError for an unknown label."""
        import numpy as np

        if label not in self.labels:
            raise RecipeError(
                f'the model has no label "{label}"; it has: {", ".join(sorted(self.labels))}'
            )
        labels, chances = self.predict(texts, len(self.labels))
        wanted = PREFIX + label
        try:
            found = [row[names.index(wanted)] for names, row in zip(labels, chances, strict=True)]
        except ValueError:
            raise IntegrityError("the model gave no probability for a text") from None
        return np.minimum(np.array(found, dtype=np.float32), np.float32(1))

    def best(self, texts: "pl.Series") -> "tuple[list[str], npt.NDArray[np.float32]]":
        """The best label of n texts and its probability, float32 of shape (n,)."""
        import numpy as np

        labels, chances = self.predict(texts, 1)
        names = [row[0].removeprefix(PREFIX) for row in labels]
        return names, np.minimum(np.array([row[0] for row in chances], np.float32), np.float32(1))
