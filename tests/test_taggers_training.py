"""Training: label mappings by hand, splits that do not leak, and the same bytes each time."""

import dataclasses
import json
from pathlib import Path

import polars as pl
import pytest

from curate import files
from curate.errors import InputError, IntegrityError, RecipeError
from curate.taggers import corpora, evaluate, shelf, training
from curate.taggers.corpora import LabelledSet
from curate.taggers.fasttext import FastText

RECIPE = """
name = "tiny"
version = "1"
license = "CC0-1.0"
label = "toxic"
seed = 1
test = "1/4"

[set.posts]
files = ["posts.csv"]
license = "CC0-1.0"
text = "said"
group = "id"
group_until = "_"
toxic = { class = ["0", "1"] }
clean = { class = ["2"] }

[set.long]
files = ["long.jsonl"]
license = "CC0-1.0"
text = "text"
windows = 2
clean = {}

[unlabelled.board]
files = ["board.csv"]
license = "CC0-1.0"
text = "com"
html = true
n = 20
joined = 5

[fasttext]
dim = 4
epoch = 5
lr = "1/2"
minCount = 1
bucket = 100
"""


@pytest.fixture
def tiny(tmp_path: Path) -> training.TrainingRecipe:
    """A recipe, its data in the same folder, its splits and a teacher's votes recorded."""
    posts = [(n, f"{n // 2}_{n % 2}", ["fool", "idiot", "walk"][n % 3], n % 3) for n in range(60)]
    rows = [f'{key},"what a {word}, number {n}",{kind}' for n, key, word, kind in posts]
    (tmp_path / "posts.csv").write_text("id,said,class\n" + "\n".join(rows) + "\n")
    lines = [json.dumps({"text": f"page {n} " + "a nice long day " * 9}) for n in range(8)]
    (tmp_path / "long.jsonl").write_text("\n".join(lines) + "\n")
    board = [f'"&gt;&gt;12345{n}<br>post number {n} here"' for n in range(30)]
    (tmp_path / "board.csv").write_text("com\n" + "\n".join(board) + "\n")
    (tmp_path / "tiny.toml").write_text(RECIPE)
    recipe = training.TrainingRecipe.load(tmp_path / "tiny.toml")
    corpora.record(recipe.sets, tmp_path, recipe.seed, recipe.splits)
    texts = training.asked(recipe, training.labelled(recipe, tmp_path), tmp_path)
    training.record_votes(recipe, texts, [0.5] * texts.height)
    return recipe


def labels(each: LabelledSet, folder: Path, body: str, name: str = "x.csv") -> dict[str, bool]:
    """Text → toxic of the rows that a set keeps of a file."""
    (folder / name).write_text(body)
    table, _ = corpora.rows([dataclasses.replace(each, files=(name,))], folder)
    return dict(zip(table["published"].to_list(), table["toxic"].to_list(), strict=True))


SET = LabelledSet(name="s", files=(), license="", text="t")


def test_classes_are_mapped_as_declared(tmp_path: Path) -> None:
    """Toxic and clean classes are kept; a class that is neither is left out."""
    each = dataclasses.replace(SET, toxic={"c": ["0", "1"]}, clean={"c": ["2"]})
    body = "t,c\nan insult,0\nan offence,1\na greeting,2\na riddle,3\n"
    wanted = {"an insult": True, "an offence": True, "a greeting": False}

    assert wanted == labels(each, tmp_path, body)


def test_votes_decide_and_ties_are_dropped(tmp_path: Path) -> None:
    """A majority of the annotators; `clean` votes against all, flags of any name, or both sides."""
    of = dataclasses.replace(SET, votes={"of": "^n$", "clean": "^ok$"})
    flags = dataclasses.replace(SET, votes={"toxic": "^bad"})
    sides = dataclasses.replace(SET, votes={"toxic": r"\.-1$", "clean": r"\.1$"})

    assert {"a b": True, "c d": False} == labels(
        of, tmp_path, "t,n,ok\na b,5,2\nc d,5,3\ne f,4,2\n"
    )
    assert {"a b": True, "c d": False} == labels(
        flags, tmp_path, "t,bad,badder\na b,0,1\nc d,0,0\n"
    )
    body = 't,x.-1,x.1,x.1\na b,"1, 1",1,0\nc d,1,1,1\ne f,,,\n'
    assert {"a b": True, "c d": False} == labels(sides, tmp_path, body)


def test_unbalanced_quotes_lose_no_row(tmp_path: Path) -> None:
    """A file without quoting is read without: a lone quote is a character."""
    each = dataclasses.replace(SET, toxic={"c": ["1"]}, clean={"c": ["0"]}, quoting=False)
    body = 'c\tt\n1\t"so he said\n0\tfine\n1\tthat "fool\n'

    assert 3 == len(labels(each, tmp_path, body, "x.tsv"))


def test_the_same_words_are_one_row_in_one_split(tmp_path: Path) -> None:
    """Case, links, mentions, entities and punctuation aside; the first set keeps it."""
    body = "t,c\nYou fool!,1\nRT @someone: you FOOL https://x.example/a,1\n&quot;you fool&quot;,1\n"
    (tmp_path / "a.csv").write_text(body)
    (tmp_path / "b.csv").write_text("t,c\nyou  fool.,1\nsomething else,1\n")
    sets = [
        dataclasses.replace(SET, name=name, files=(f"{name}.csv",), toxic={"c": ["1"]})
        for name in "ab"
    ]
    table, counts = corpora.rows(sets, tmp_path)

    assert [("a", "You fool!"), ("b", "something else")] == table.select("set", "published").rows()
    assert (2, 1) == (counts["a"].n_duplicate, counts["b"].n_duplicate)


def test_a_set_that_contradicts_itself_has_no_vote(tmp_path: Path) -> None:
    """The majority among equal texts holds; a tie drops the text."""
    each = dataclasses.replace(SET, toxic={"c": ["1"]}, clean={"c": ["0"]})
    body = "t,c\na b,1\na b,0\na b,1\nc d,1\nc d,0\n"

    assert {"a b": True} == labels(each, tmp_path, body)


def test_emoji_are_part_of_a_row(tmp_path: Path) -> None:
    """Two texts that differ in an emoji are two rows."""
    assert corpora.digest("you \U0001f600") != corpora.digest("you \U0001f437")


def test_comments_lose_their_markup() -> None:
    """Quote links, tags and word breaks go; a line of text stays a line of words."""
    markup = '<a href="#p1">&gt;&gt;1234</a><br><span class="quote">&gt;not ev<wbr>en</span>'

    assert ">not even" == corpora.stripped(corpora.unmarked(markup))


def test_splits_keep_groups_whole_and_are_held_to_the_data(
    tiny: training.TrainingRecipe, tmp_path: Path
) -> None:
    """A comment's sentences lie on one side; a missing row is an error, not a smaller test."""
    table = training.labelled(tiny, tmp_path)
    posts = table.filter(set="posts")

    assert 1 == posts.group_by("group").agg(pl.col("split").n_unique())["split"].max()
    assert {"train", "test"} == set(posts["split"])
    body = (tmp_path / "posts.csv").read_text()
    (tmp_path / "posts.csv").write_text(body[: len(body) // 2].rsplit("\n", 1)[0] + "\n")
    with pytest.raises(IntegrityError, match="not those the splits were made of"):
        training.labelled(tiny, tmp_path)


def test_the_same_recipe_gives_the_same_bytes(
    tiny: training.TrainingRecipe, tmp_path: Path
) -> None:
    """Twice the same file; another seed, another file."""
    rows = training.labelled(tiny, tmp_path).filter(split="train")
    votes = training.voted(tiny, rows, tmp_path)
    first = training.train(tiny, rows, votes, tmp_path / "a.bin")
    again = training.train(tiny, rows, votes, tmp_path / "b.bin")
    other = dataclasses.replace(tiny, seed=2)

    assert first == again
    assert first["sha256"] != training.train(other, rows, votes, tmp_path / "c.bin")["sha256"]


def test_lines_are_rows_pieces_and_votes(tiny: training.TrainingRecipe, tmp_path: Path) -> None:
    """A post is one line, a long document two pieces, an unlabelled text one line per vote."""
    rows = training.labelled(tiny, tmp_path).filter(split="train")
    votes = training.voted(tiny, rows, tmp_path)
    made = list(training.lines(tiny, rows, votes))
    n_posts, n_long = (rows.filter(set=name).height for name in ("posts", "long"))
    voted = made[n_posts + 2 * n_long :]

    assert 25 == votes.height
    assert n_posts + 2 * n_long + 25 * tiny.votes == len(made)
    assert 25 * tiny.votes // 2 == sum(toxic for toxic, _ in voted)


def test_a_joined_text_has_the_mean_vote_of_its_parts(
    tiny: training.TrainingRecipe, tmp_path: Path
) -> None:
    """Threads are long: the label of several posts in a row is their average."""
    rows = training.labelled(tiny, tmp_path)
    texts = training.asked(tiny, rows, tmp_path)
    chances = [n / 20 for n in range(20)] + [0.0] * 5
    training.record_votes(tiny, texts, chances)
    votes = training.voted(tiny, rows, tmp_path)
    joined = votes.row(22, named=True)
    members = joined["members"]

    assert 2 <= len(members)
    assert joined["text"] == " ".join(votes["text"][n] for n in members)
    assert round(tiny.votes * sum(chances[n] for n in members) / len(members)) == joined["votes"]


def test_a_recipe_may_ask_about_labelled_rows_too(
    tiny: training.TrainingRecipe, tmp_path: Path
) -> None:
    """Training rows of labelled sets come first, and the posts' own rows after them."""
    soft = dataclasses.replace(tiny, soften=True)
    rows = training.labelled(tiny, tmp_path)
    n_posts = rows.filter(set="posts", split="train").height
    plain, made = (training.asked(recipe, rows, tmp_path) for recipe in (tiny, soft))

    assert plain["text"].to_list() == made["text"][n_posts:].to_list()
    assert [[n] for n in range(n_posts + 20)] == made["members"][: n_posts + 20].to_list()
    assert plain["members"][20].to_list() == [n - n_posts for n in made["members"][n_posts + 20]]


def test_a_regression_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    """A recipe with [regression] gives a model that tells its words apart, twice the same."""
    rows = [f'{n}_0,"what a {"fool" if n % 3 else "walk"}, number {n}",{n % 3}' for n in range(60)]
    (tmp_path / "posts.csv").write_text("id,said,class\n" + "\n".join(rows) + "\n")
    body = RECIPE[: RECIPE.index("[set.long]")].replace('["0", "1"]', '["1", "2"]')
    body = body.replace('clean = { class = ["2"] }', 'clean = { class = ["0"] }')
    solve = '[regression]\nbucket = 1_000\npenalty = "1/1000"\nrounds = 30\n'
    (tmp_path / "solved.toml").write_text(body + solve)
    recipe = training.TrainingRecipe.load(tmp_path / "solved.toml")
    corpora.record(recipe.sets, tmp_path, recipe.seed, recipe.splits)
    table = training.labelled(recipe, tmp_path)
    files_made = [tmp_path / "a.ftz", tmp_path / "b.ftz"]
    for path in files_made:
        training.train(recipe, table, training.no_votes(), path)
    model = FastText(files_made[0], "words")
    scores = model.scores(pl.Series(["what a fool, number 1", "what a walk, number 3"]), "toxic")

    assert files_made[0].read_bytes() == files_made[1].read_bytes()
    assert scores[0] > 0.9
    assert scores[1] < 0.1


def test_a_recipe_says_how_to_fit_once(tmp_path: Path) -> None:
    """Without [fasttext] and [regression], or with both, it is refused."""
    path = tmp_path / "r.toml"
    for body in (RECIPE[: RECIPE.index("[fasttext]")], RECIPE + "[regression]\nbucket = 1\n"):
        path.write_text(body)
        with pytest.raises(RecipeError, match=r"\[fasttext\] or a \[regression\]"):
            training.TrainingRecipe.load(path)


def test_votes_about_other_texts_are_refused(tiny: training.TrainingRecipe, tmp_path: Path) -> None:
    """The record says which texts were asked about."""
    body = (tmp_path / "board.csv").read_text()
    (tmp_path / "board.csv").write_text(body.replace("number", "numeral"))

    with pytest.raises(IntegrityError, match="about other texts"):
        training.voted(tiny, training.labelled(tiny, tmp_path), tmp_path)


def test_a_recipe_s_mistake_names_the_file(tmp_path: Path) -> None:
    """An unknown option, broken TOML and an absent file are told apart."""
    path = tmp_path / "r.toml"
    for body, message in (
        (RECIPE.replace("windows", "window"), "window"),
        ("name = ", "r.toml"),
        (RECIPE.replace('label = "toxic"\n', "", 1), "label"),
    ):
        path.write_text(body)
        with pytest.raises(RecipeError, match=message):
            training.TrainingRecipe.load(path)
    with pytest.raises(RecipeError, match="no such recipe"):
        training.TrainingRecipe.load(tmp_path / "absent.toml")


def test_absent_data_say_how_to_name_them(tiny: training.TrainingRecipe, tmp_path: Path) -> None:
    """The option is in the hint."""
    (tmp_path / "posts.csv").unlink()

    with pytest.raises(InputError, match="no such file") as caught:
        training.labelled(tiny, tmp_path)
    assert "--data" in caught.value.hint


def test_metrics_of_a_perfect_model(tiny: training.TrainingRecipe, tmp_path: Path) -> None:
    """A scorer that knows the words gets everything right, and the report says so."""
    import numpy as np

    rows = training.labelled(tiny, tmp_path)
    found = evaluate.evaluated(
        lambda texts: np.array(
            [0.9 if "fool" in t or "idiot" in t else 0.1 for t in texts], np.float32
        ),
        tiny,
        rows,
    )

    assert found["all"]["auroc"].startswith("1.000")
    assert found["clean"]["long"]["at"]["0.5"]["false_positive_rate"].startswith("0.000")
    point = found["operating_points"][9]
    assert "0.50" == point["threshold"]
    assert 0 == point["false_positive"] + point["false_negative"]


def test_no_row_is_in_two_splits(root: Path) -> None:
    """The committed record holds digests alone, each once, whatever its set."""
    splits = pl.read_parquet(root / "recipes/taggers/toxicity.splits.parquet")

    assert ["set", "digest", "split"] == splits.columns
    assert splits["digest"].n_unique() == splits.height
    assert set(corpora.SPLITS) == set(splits["split"])
    assert {"test"} == set(splits.filter(set="madlibs")["split"])


def test_the_shipped_model_is_reproduced(root: Path, shared: Path, tmp_path: Path) -> None:
    """The recipe and the data give the digest of the shipped file."""
    recipe = training.TrainingRecipe.load(root / "recipes/taggers/toxicity.toml")
    data = shared / "data"
    rows = training.labelled(recipe, data).filter(split="train")
    training.train(recipe, rows, training.voted(recipe, rows, data), tmp_path / "model.ftz")

    assert files.sha256_of(shelf.located("builtin:toxicity")) == files.sha256_of(
        tmp_path / "model.ftz"
    )
