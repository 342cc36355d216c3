"""
Turn the texts that a training recipe asks about into a teacher's votes about them.

    python tests/vote_by_teacher.py --data ../shared/data --detoxify build/detoxify

The teacher is the mean of two: a network built by `build_detoxify_checkpoint.py`, and a logistic
regression over words and pieces of words (scikit-learn), which for labelled rows is
fitted without them (four folds, whole groups). Votes are recorded beside the recipe; the shipped
model is reproduced from the record, without either.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from curate import taggers  # noqa: E402
from curate.taggers import training, work  # noqa: E402
from curate.taggers.words import normalised  # noqa: E402

FOLDS = 4
MOST_CHARACTERS = 500  # of a text that the network reads
AT_ONCE = 2_000


def words(texts: list[str]) -> list[str]:
    """Lines as the student reads them."""
    return normalised(pl.Series(texts, dtype=pl.String), "words")


def linear(fit_on: list[tuple[bool, str]], asked: list[str]) -> "np.ndarray[Any, Any]":
    """P(toxic) of `asked` by a regression fitted on (toxic, text)."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_union

    vectors = make_union(
        TfidfVectorizer(sublinear_tf=True, analyzer=str.split, min_df=2),
        TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(3, 5), min_df=4),
    )
    model = LogisticRegression(C=2, max_iter=100, solver="liblinear")
    model.fit(vectors.fit_transform(words([text for _, text in fit_on])), [t for t, _ in fit_on])
    chances: np.ndarray[Any, Any] = model.predict_proba(vectors.transform(words(asked)))[:, 1]
    return chances


def network(folder: Path, asked: list[str]) -> "np.ndarray[Any, Any]":
    """Toxicity of `asked` by a Detoxify folder."""
    options = {"model": str(folder), "window": 96, "overlap": 0, "precision": "bf16"}
    tagger: Any = work.loaded(taggers.declare("teacher", options, where="here"))
    made = []
    for start in range(0, len(asked), AT_ONCE):
        some = [text[:MOST_CHARACTERS] for text in asked[start : start + AT_ONCE]]
        made.append(tagger.scores(some)[0][:, 0])
        print(f"{start + len(some):,} of {len(asked):,}", flush=True)
    return np.concatenate(made)


def main() -> None:
    """Ask both, and record the votes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes/taggers/toxicity.toml")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detoxify", type=Path, required=True)
    options = parser.parse_args()
    recipe = training.TrainingRecipe.load(options.recipe)
    rows = training.labelled(recipe, options.data)
    train = rows.filter(split="train")
    asked = training.asked(recipe, rows, options.data)
    single = asked.filter(pl.col("members").list.len() == 1)
    names = [each.source.name for each in recipe.unlabelled]
    chances = np.zeros(asked.height)
    at = single["members"].list.first().to_numpy()
    board = single["set"].is_in(names).to_numpy()
    texts = single["text"].to_list()

    def lines(table: pl.DataFrame) -> list[tuple[bool, str]]:
        return list(training.lines(recipe, table, training.no_votes()))

    regression = np.zeros(single.height)
    regression[board] = linear(lines(train), [texts[n] for n in np.flatnonzero(board)])
    if recipe.soften:
        # `asked` has the rows of train in their order, without those of clean sets.
        fold = train.with_columns(fold=pl.col("group").hash(5) % FOLDS)
        own = fold.filter(pl.col("set").is_in(single.filter(~board)["set"].unique().to_list()))
        for each in range(FOLDS):
            places = np.flatnonzero((own["fold"] == each).to_numpy())
            others = fold.filter(pl.col("fold") != each).drop("fold")
            regression[places] = linear(lines(others), [texts[n] for n in places])
            print(f"fold {each + 1} of {FOLDS}", flush=True)
    chances[at] = (regression + network(options.detoxify, texts)) / 2
    training.record_votes(recipe, asked, chances.tolist())
    print(f"wrote {recipe.teacher}: {recipe.teacher.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
