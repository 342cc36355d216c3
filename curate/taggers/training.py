"""
Turn a declared training recipe and labelled sets into a fastText model, the same bytes each time.

Labelled rows of the train split are lines as they are (long clean documents in pieces of 4 to 256
words), unlabelled texts as often with each label as the recorded votes of a teacher say. A recipe's
`[regression]` has the weights that fit these lines best computed (`regression`); its `[fasttext]`
has the library learn them, in one thread and in an order drawn from the seed.

    >>> from pathlib import Path
    >>> recipe = TrainingRecipe.load(Path("recipes/taggers/toxicity.toml"))
    >>> recipe.name, recipe.label, recipe.sets[0].name
    ('toxicity', 'toxic', 'davidson')
    >>> pieces("one two three four five", 3, seed=1)  # none shorter than four words, if it can
    ['one two three four five', 'one two three four five', 'one two three four five']
"""

import dataclasses
import hashlib
import math
import random
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import files
from curate.errors import IntegrityError, RecipeError
from curate.taggers import corpora, fasttext_built, folding, regression
from curate.taggers.corpora import LabelledSet
from curate.taggers.fasttext import PREFIX
from curate.taggers.words import normalised

if TYPE_CHECKING:
    import polars as pl

OTHER = "clean"
_PER_SET: dict[str, Any] = {"valid": 0, "test": 0, "repeat": 1}
_USUAL: dict[str, Any] = {
    "votes": 4,
    "soften": False,
    "normalise": "words",
    "fold": False,
    "fasttext": {},
    "regression": {},
    "quantize": {},
}
_SHORTEST, _LONGEST = 4, 256  # words of a piece


@dataclass(frozen=True)
class Unlabelled:
    """An `[unlabelled.<name>]`: n single texts and `joined` runs of them, labelled by a teacher."""

    source: LabelledSet
    n: int
    joined: int = 0


@dataclass(frozen=True)
class TrainingRecipe:
    """A training recipe as written: its sets, what is held out, how fastText is to learn."""

    name: str
    version: str
    license: str
    label: str
    seed: int
    normalise: str
    votes: int  # copies of a voted text, each with the label of one vote
    soften: bool  # also ask the teacher about labelled rows
    sets: tuple[LabelledSet, ...]
    unlabelled: tuple[Unlabelled, ...]
    fasttext: Mapping[str, Any]  # the library's options, or
    regression: Mapping[str, Any]  # those of `regression.Told`
    fold: bool  # one number per row instead of `dim`: the same function (see `folding`)
    quantize: Mapping[str, Any]
    path: Path

    @property
    def splits(self) -> Path:
        """The committed record of which row is in which split: `<recipe>.splits.parquet`."""
        return self.path.with_suffix(".splits.parquet")

    @property
    def teacher(self) -> Path:
        """The committed votes about unlabelled texts: `<recipe>.teacher.parquet`."""
        return self.path.with_suffix(".teacher.parquet")

    @classmethod
    def load(cls, path: Path) -> "TrainingRecipe":
        """Read a recipe; RecipeError names the file and what is wrong."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Fraction)
        except FileNotFoundError:
            raise RecipeError(f"no such recipe: {path}") from None
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{path}: {error}") from None
        if bool(table.get("fasttext")) == bool(table.get("regression")):
            raise RecipeError(f"{path}: it needs a [fasttext] or a [regression], and not both")
        held = {key: table.pop(key, usual) for key, usual in _PER_SET.items()}
        try:
            sets = tuple(_set(name, {**held, **each}) for name, each in table.pop("set").items())
            unlabelled = tuple(
                Unlabelled(
                    n=each.pop("n"),
                    joined=each.pop("joined", 0),
                    source=_set(name, each),
                )
                for name, each in table.pop("unlabelled", {}).items()
            )
            return cls(
                **{**_USUAL, **table},
                sets=sets,
                unlabelled=unlabelled,
                path=path,
            )
        except (TypeError, KeyError) as error:
            raise RecipeError(f"{path}: {error}") from None


def _set(name: str, options: Mapping[str, Any]) -> LabelledSet:
    made = LabelledSet(name=name, **{**options, "files": tuple(options["files"])})
    test = Fraction(made.test)
    return dataclasses.replace(made, test=test, valid=min(Fraction(made.valid), 1 - test))


def labelled(recipe: TrainingRecipe, data: Path) -> "pl.DataFrame":
    """All rows with their committed split: `set`, `digest`, `group`, `text`, `toxic`, `split`."""
    import polars as pl

    table, _ = corpora.rows(recipe.sets, data)
    return corpora.committed(table, pl.read_parquet(recipe.splits))


def asked(recipe: TrainingRecipe, rows: "pl.DataFrame", data: Path) -> "pl.DataFrame":
    """
    The texts a teacher is asked about, in a fixed order: `set`, `text`, `members` List(UInt32).

    First, where the recipe softens, the labelled training rows of sets with both labels. A joined
    text is 2 to 16 single ones; `members` are their rows, and its own for a single text. A
    teacher's votes about it are the mean of theirs.
    """
    import polars as pl

    tables = []
    start = 0
    if recipe.soften:
        both = [each.name for each in recipe.sets if not each.windows]
        kept = rows.filter(pl.col("split") == "train", pl.col("set").is_in(both))
        start = kept.height
        own = pl.int_range(pl.len(), dtype=pl.UInt32).reshape((-1, 1)).arr.to_list()
        tables.append(kept.select("set", "text", members=own))
    for each in recipe.unlabelled:
        single = corpora.unlabelled(each.source, data, each.n, recipe.seed)["text"].to_list()
        draw = _drawn(recipe.seed, each.source.name)
        members = [[row] for row in range(len(single))]
        for _ in range(each.joined):
            length = round(math.exp(draw.uniform(math.log(2), math.log(16))))
            members.append([draw.randrange(len(single)) for _ in range(length)])
        tables.append(
            pl.DataFrame(
                {
                    "set": [each.source.name] * len(members),
                    "text": [" ".join(single[row] for row in rows) for rows in members],
                    "members": [[start + row for row in rows] for rows in members],
                },
                schema_overrides={"members": pl.List(pl.UInt32)},
            )
        )
        start += len(members)
    if not tables:
        return pl.DataFrame(
            schema={"set": pl.String, "text": pl.String, "members": pl.List(pl.UInt32)}
        )
    return pl.concat(tables)


def voted(recipe: TrainingRecipe, rows: "pl.DataFrame", data: Path) -> "pl.DataFrame":
    """
    `asked` with `votes`: of `recipe.votes`, how many the teacher gave for the label.

    Raises IntegrityError if the committed votes are about other texts.
    """
    import polars as pl

    texts = asked(recipe, rows, data)
    if not texts.height:
        return no_votes()
    votes = pl.read_parquet(recipe.teacher)
    found = fingerprint_of(texts)
    recorded = pl.read_parquet_metadata(recipe.teacher).get("texts", "")
    if recorded != found or votes.height != texts.height:
        raise IntegrityError(
            f"{recipe.teacher.name} is about other texts",
            details=[f"recorded {recorded}", f"found    {found}"],
        )
    return texts.with_columns(votes["votes"])


def no_votes() -> "pl.DataFrame":
    """The table of `voted` without a row."""
    import polars as pl

    return pl.DataFrame(schema={"text": pl.String, "votes": pl.UInt8})


def record_votes(recipe: TrainingRecipe, texts: "pl.DataFrame", chances: Sequence[float]) -> None:
    """
    Write a teacher's `chances` (one per row of `texts`, see `asked`) as votes.

    A joined text gets the mean of its members', whatever its own chance.
    """
    import polars as pl

    single = pl.Series(chances, dtype=pl.Float64)
    members = texts.select(row=pl.int_range(pl.len()), member="members").explode("member")
    mean = (
        members.with_columns(chance=single.gather(members["member"]))
        .group_by("row", maintain_order=True)
        .agg(pl.col("chance").mean())["chance"]
    )
    votes = (mean * recipe.votes).round(mode="half_to_even").cast(pl.UInt8)
    with files.replacing(recipe.teacher) as temporary:
        pl.DataFrame({"votes": votes}).write_parquet(
            temporary,
            compression="zstd",
            compression_level=19,
            metadata={"texts": fingerprint_of(texts)},
        )


def fingerprint_of(texts: "pl.DataFrame") -> str:
    """sha256 over the digests of texts in order: what the teacher's votes are about."""
    running = hashlib.sha256()
    for text in texts["text"].to_list():
        running.update(corpora.digest(text))
    return running.hexdigest()


def pieces(text: str, n: int, *, seed: int) -> list[str]:
    """n pieces of a text of 4 to 256 words (log-uniform), drawn from the seed and the text."""
    words = text.split()
    draw = _drawn(seed, text)
    made = []
    for _ in range(n):
        length = round(math.exp(draw.uniform(math.log(_SHORTEST), math.log(_LONGEST))))
        start = draw.randrange(max(1, len(words) - length + 1))
        made.append(" ".join(words[start : start + length]))
    return made


def lines(
    recipe: TrainingRecipe, rows: "pl.DataFrame", votes: "pl.DataFrame"
) -> Iterator[tuple[bool, str]]:
    """(toxic, text) of every training line, before shuffling: labelled rows, then voted texts."""
    sets = {each.name: each for each in recipe.sets}
    for name, text, toxic in rows.select("set", "text", "toxic").iter_rows():
        each = sets[name]
        texts = pieces(text, each.windows, seed=recipe.seed) if each.windows else [text]
        for piece in texts * each.repeat:
            yield toxic, piece
    for text, n_toxic in votes.select("text", "votes").iter_rows():
        for vote in range(recipe.votes):
            yield vote < n_toxic, text


def train(
    recipe: TrainingRecipe, rows: "pl.DataFrame", votes: "pl.DataFrame", out: Path
) -> dict[str, Any]:
    """
    Train on `rows` (all of them) and `votes`, write the model to `out`, and return what it cost.

    `out` is folded or quantized if the recipe says so. Facts: `sha256`, `bytes`, `n_lines`.
    """
    made = list(lines(recipe, rows, votes))
    (_solve if recipe.regression else _learn)(recipe, made, out)
    return {
        "sha256": files.sha256_of(out),
        "bytes": out.stat().st_size,
        "n_lines": len(made),
    }


def _solve(recipe: TrainingRecipe, made: Sequence[tuple[bool, str]], out: Path) -> None:
    """The model that fits the lines best; equal lines are one with a weight."""
    import numpy as np
    import polars as pl

    n_toxic: Counter[str] = Counter()
    n_lines: Counter[str] = Counter()
    for toxic, text in made:
        n_lines[text] += 1
        n_toxic[text] += toxic
    texts = normalised(pl.Series(list(n_lines), dtype=pl.String), recipe.normalise)
    weights = np.array(list(n_lines.values()), np.float64)
    shares = np.array([n_toxic[text] for text in n_lines]) / weights
    told = regression.Told(**_plain(recipe.regression))
    model = regression.fitted(texts, shares, weights, told)
    files.write_bytes(
        out, fasttext_built.built(model.words, model.buckets, labels=(recipe.label, OTHER))
    )


def _learn(recipe: TrainingRecipe, made: list[tuple[bool, str]], out: Path) -> None:
    """The model that the library learns from the lines, shuffled."""
    import polars as pl

    _drawn(recipe.seed, "lines").shuffle(made)
    texts = normalised(pl.Series([text for _, text in made], dtype=pl.String), recipe.normalise)
    marks = [PREFIX + (recipe.label if toxic else OTHER) for toxic, _ in made]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lines.txt"
        body = "".join(f"{m} {t}\n" for m, t in zip(marks, texts, strict=True))
        file.write_text(body, encoding="utf-8")
        _fit(recipe, file, out)


def _fit(recipe: TrainingRecipe, file: Path, out: Path) -> None:
    import fasttext

    options = _plain(recipe.fasttext)
    model = fasttext.train_supervised(
        str(file), thread=1, seed=recipe.seed, verbose=0, label=PREFIX, **options
    )
    if recipe.quantize:
        model.quantize(input=str(file), thread=1, verbose=0, **_plain(recipe.quantize))
    with files.replacing(out) as temporary:
        model.save_model(str(temporary))
        if recipe.fold:
            temporary.write_bytes(folding.folded(temporary.read_bytes()))


def _drawn(seed: int, purpose: str) -> random.Random:
    """A reproducible stream of draws; nothing here is a secret."""
    return random.Random(f"{seed} {purpose}")  # noqa: S311


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as fastText takes them: fractions, written as text in a recipe, as floats."""
    kept: Sequence[str] = ("loss",)
    return {
        key: float(Fraction(value)) if isinstance(value, str) and key not in kept else value
        for key, value in options.items()
    }
