"""
Turn a model and its recipe into the numbers of its card, every one of them, the same each time.

The test rows are scored as they were published, through the tagger itself: entities, links and
mentions are there, as in a dump. Besides the sets: pieces of held-out C4 documents and whole ones,
identity terms (madlibs), and the effect of length.
"""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.taggers import metrics, training

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Scorer = Callable[[list[str]], npt.NDArray[np.float32]]

THRESHOLDS = ("0.25", "0.5", "0.75", "0.9")
LENGTHS = (8, 32, 128, 512)
"""Words at which the first part of a document is scored."""

SMALLEST = 40
"""Rows of each class a set needs to be reported alone; smaller ones count in `all` only."""


GOLDEN = (
    "The library opens at nine and closes at noon on Saturdays.",
    "Thank you so much, this was exactly what I was looking for!",
    "You are a complete fool and nobody likes you.",
    "Shut up, you stupid idiot.",
    "People like them are trash and should all go away.",
    "My neighbour is a Muslim doctor and a very good cook.",
    "I hate waiting for the bus in the rain.",
    "",
)
"""Invented, mild sentences whose scores a card records."""


def measured(
    recipe: training.TrainingRecipe,
    rows: "pl.DataFrame",
    model: Path,
    *,
    unseen: bool,
    beside: bool,
) -> dict[str, Any]:
    """`evaluated` of a model file; with `beside`, also what other models give on the same rows."""
    found = evaluated(_scorer(model, recipe), recipe, rows)
    others: dict[str, Any] = {}
    if unseen:
        with tempfile.TemporaryDirectory() as folder:
            others["unseen"] = left_out(recipe, rows, Path(folder))
    if beside:
        others["linear"] = baseline(recipe, rows, leave_out=False)
        if unseen:
            others["linear_unseen"] = baseline(recipe, rows, leave_out=True)
    return {**found, "beside": others} if others else found


def _scorer(path: Path, recipe: training.TrainingRecipe) -> "Scorer":
    import polars as pl

    from curate.taggers.fasttext import FastText

    model = FastText(path, recipe.normalise)
    return lambda texts: model.scores(pl.Series(texts, dtype=pl.String), recipe.label)


def evaluated(
    scorer: "Scorer", recipe: training.TrainingRecipe, rows: "pl.DataFrame"
) -> dict[str, Any]:
    """
    The metrics of a card, from the labelled rows (see `training.labelled`): only plain text.

    `scorer` gives P(label) of texts as they come. Keys: `sets`, `all`, `identity_terms`, `clean`,
    `length`, `operating_points`.
    """
    import numpy as np
    import polars as pl

    test = rows.filter(split="test")
    labelled = _sets_with_both(test)
    seed = recipe.seed
    table = test.filter(pl.col("set").is_in(labelled))
    scores = {name: scorer(table.filter(set=name)["published"].to_list()) for name in labelled}
    truth = {name: table.filter(set=name)["toxic"].to_numpy() for name in labelled}
    everything = np.concatenate(list(scores.values()))
    every_truth = np.concatenate(list(truth.values()))
    made: dict[str, Any] = {
        "sets": {
            name: metrics.report(truth[name], scores[name], thresholds=THRESHOLDS, seed=seed)
            for name in labelled
            if min(truth[name].sum(), (~truth[name]).sum()) >= SMALLEST
        },
        "all": metrics.report(every_truth, everything, thresholds=THRESHOLDS, seed=seed),
        "operating_points": operating_points(every_truth, everything),
    }
    if "madlibs" in test["set"]:
        identity = test.filter(set="madlibs")
        made["identity_terms"] = metrics.report(
            identity["toxic"],
            scorer(identity["published"].to_list()),
            thresholds=THRESHOLDS,
            seed=seed,
        )
    made["clean"] = {}
    made["length"] = {}
    for name in (each.name for each in recipe.sets if each.windows):
        texts = test.filter(set=name)["published"].to_list()
        whole = scorer(texts)
        made["clean"][name] = metrics.report(
            np.zeros(len(texts), bool), whole, thresholds=THRESHOLDS, seed=seed
        )
        made["length"][name] = _by_length(scorer, texts)
    return made


def operating_points(
    truth: "npt.NDArray[np.bool_]", scores: "npt.NDArray[np.float32]"
) -> list[dict[str, Any]]:
    """Counts at thresholds 0.05 … 0.95: from them follows any rate a reader wants to know."""
    import numpy as np

    made = []
    for step in range(1, 20):
        threshold = f"{step / 20:.2f}"
        flagged = scores >= np.float32(threshold)
        made.append(
            {
                "threshold": threshold,
                "true_positive": int((truth & flagged).sum()),
                "false_positive": int((~truth & flagged).sum()),
                "false_negative": int((truth & ~flagged).sum()),
                "true_negative": int((~truth & ~flagged).sum()),
            }
        )
    return made


def left_out(recipe: training.TrainingRecipe, rows: "pl.DataFrame", folder: Path) -> dict[str, str]:
    """
    AUROC on all rows of each set by a model that was trained on the other sets' labels alone.

    Without votes: the teacher had seen all sets.
    """
    import polars as pl

    made = {}
    for name in _sets_with_both(rows.filter(split="test")):
        model = folder / f"without-{name}.ftz"
        train = rows.filter(pl.col("split") == "train", pl.col("set") != name)
        training.train(recipe, train, training.no_votes(), model)
        unseen = rows.filter(set=name)
        value, low, high = metrics.interval(
            metrics.auroc,
            unseen["toxic"],
            _scorer(model, recipe)(unseen["published"].to_list()),
            seed=recipe.seed,
        )
        made[name] = f"{value:.3f} [{low:.3f}, {high:.3f}]"
    return made


def baseline(
    recipe: training.TrainingRecipe, rows: "pl.DataFrame", *, leave_out: bool
) -> dict[str, str]:
    """
    AUROC of TF-IDF (words, pairs of words) and logistic regression trained on the same rows.

    Needs scikit-learn, which nothing else here does. With `leave_out`: of each set by the others.
    """
    import polars as pl
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-not-found]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found]

    from curate.taggers.words import normalised

    def words(texts: list[str]) -> list[str]:
        return normalised(pl.Series(texts, dtype=pl.String), "words")

    def pairs(line: str) -> list[str]:
        found = line.split()
        return found + [f"{a} {b}" for a, b in itertools.pairwise(found)]

    def fitted(train: "pl.DataFrame") -> "Scorer":
        made = list(training.lines(recipe, train, training.no_votes()))
        vectors = TfidfVectorizer(sublinear_tf=True, analyzer=pairs, min_df=2)
        model = LogisticRegression(C=4, max_iter=300, solver="liblinear")
        model.fit(vectors.fit_transform(words([t for _, t in made])), [toxic for toxic, _ in made])
        return lambda texts: model.decision_function(vectors.transform(words(texts)))

    train, test = rows.filter(split="train"), rows.filter(split="test")
    names = _sets_with_both(test)
    scorer = fitted(train)
    found = {}
    for name in names:
        if leave_out:
            scorer = fitted(train.filter(pl.col("set") != name))
        measured = (rows if leave_out else test).filter(set=name)
        found[name] = f"{metrics.auroc(measured['toxic'], scorer(measured['text'].to_list())):.3f}"
    if not leave_out:
        every = test.filter(pl.col("set").is_in(names))
        found["all"] = f"{metrics.auroc(every['toxic'], scorer(every['text'].to_list())):.3f}"
    return found


def _sets_with_both(test: "pl.DataFrame") -> list[str]:
    """Sets with toxic and clean rows, but the templates, by name."""
    import polars as pl

    both = test.group_by("set").agg(n=pl.col("toxic").n_unique()).filter(n=2)
    return sorted(name for name in both["set"] if name != "madlibs")


def _by_length(scorer: "Scorer", texts: list[str]) -> dict[str, dict[str, str]]:
    """Of documents of at least so many words: what their first so many words score."""
    import numpy as np

    made = {}
    for length in LENGTHS:
        cut = [" ".join(words[:length]) for words in map(str.split, texts) if len(words) >= length]
        if not cut:
            continue
        scores = scorer(cut)
        made[str(length)] = {
            "n": str(len(cut)),
            "mean": f"{scores.mean():.3f}",
            "p99": f"{np.quantile(scores, 0.99):.3f}",
            "over_half": f"{(scores >= 0.5).mean():.4f}",
        }
    return made


def golden(path: Path, recipe: training.TrainingRecipe) -> list[dict[str, str]]:
    """The sentences of `GOLDEN` and what the model scores them: its self-test."""
    scores = _scorer(path, recipe)(list(GOLDEN))
    return [
        {"text": text, "score": f"{score:.6f}"} for text, score in zip(GOLDEN, scores, strict=True)
    ]
