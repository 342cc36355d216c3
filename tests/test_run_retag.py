"""Scores are given again: a score that was edited anywhere on its way is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from curate.audit.opened import open_mix
from curate.cli import group
from curate.errors import UsageError
from curate.run.retag import retag
from tests.journeys import walk
from tests.test_run_origin import RECIPE, made

SMALL = RECIPE.replace("60_000", "5_000")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dumps, a store and a mix."""
    folder = walk.demo_folder(tmp_path_factory.mktemp("retag"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made(folder, SMALL)
    return folder


@pytest.fixture
def world(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one's own, worked in."""
    shutil.copytree(built, tmp_path / "world")
    monkeypatch.chdir(tmp_path / "world")
    return tmp_path / "world"


def asked(world: Path, n: int = 10_000) -> list[tuple[str, str]]:
    """Kinds and files of what scoring again finds."""
    mix = open_mix(world / "mixes" / "facts" / "1.0.0")
    found = retag(mix, recipe=world / "facts.toml", store=world / "store", n=n)
    assert any("scored again" in line for line in found.checked)
    return [(finding.kind, finding.file) for finding in found.findings]


def edit(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Rewrite a table."""
    change(pl.read_parquet(path)).write_parquet(path)


def halved(table: pl.DataFrame) -> pl.DataFrame:
    """The toxicity of the third row is half of what it was."""
    half = pl.when(pl.int_range(pl.len()) == 2).then(pl.col("toxicity") / 2)
    return table.with_columns(half.otherwise(pl.col("toxicity")).alias("toxicity"))


def test_scores_as_they_were_given_are_given_again(world: Path) -> None:
    """All documents of the mix and of both sources, by the model and the list of words."""
    assert [] == asked(world)
    assert [] == asked(world, n=3)


def test_an_edited_score_in_the_mix_is_found(world: Path) -> None:
    """The third span is called half as toxic."""
    edit(world / "mixes/facts/1.0.0/spans.parquet", halved)

    assert [("score", "spans.parquet")] == asked(world)


def test_an_edited_score_in_the_store_is_found(world: Path) -> None:
    """Be it of a document that no mix has."""
    [path] = (world / "store/tags").glob("c4@*/toxicity@*/*.parquet")
    edit(path, halved)

    assert [("score", "tags of c4")] == asked(world)


def test_an_edited_count_of_words_is_found(world: Path) -> None:
    """A list of words is a tagger as any other."""
    edit(world / "mixes/facts/1.0.0/spans.parquet", lambda t: t.with_columns(pl.col("blocked") + 1))

    assert {("score", "spans.parquet")} == set(asked(world))


def test_another_text_in_the_store_is_found(world: Path) -> None:
    """Its digest is the row's, its words are not."""
    [path] = (world / "store/documents").glob("pol@*/*.parquet")
    edit(path, lambda t: t.with_columns(text=pl.col("text") + " kind"))

    assert ("text", "spans.parquet") in asked(world)


def test_another_model_in_the_manifest_is_found(world: Path) -> None:
    """Scores agree, the name does not."""
    mix = open_mix(world / "mixes" / "facts" / "1.0.0")
    mix.origin["taggers"]["toxicity"]["models"][0]["sha256"] = "0" * 64
    found = retag(mix, recipe=world / "facts.toml", store=world / "store", n=1)

    assert [("model", "origin.taggers.toxicity.models")] == [
        (finding.kind, finding.where) for finding in found.findings
    ]


def test_texts_that_the_store_lost_are_counted_as_not_checked(world: Path) -> None:
    """A purged document cannot be scored; the answer says how many there were."""
    spans = pl.read_parquet(world / "mixes/facts/1.0.0/spans.parquet")
    gone = spans.filter(source="pol")["content"]
    [path] = (world / "store/documents").glob("pol@*/*.parquet")
    edit(path, lambda t: t.with_columns(content=pl.lit(b"c" * 16)))
    mix = open_mix(world / "mixes" / "facts" / "1.0.0")
    found = retag(mix, recipe=world / "facts.toml", store=world / "store", n=10_000)

    assert () == tuple(found.findings)
    assert any(f"{gone.n_unique()} drawn spans" in line for line in found.not_checked)


def test_the_command_takes_its_recipe_and_says_what_it_left_open(world: Path) -> None:
    """`verify --retag`: exit 0, then 3 once a score is edited; another recipe is refused."""
    from click.testing import CliRunner

    line = ["verify", "mixes/facts/1.0.0", "--retag", "20", "--recipe", "facts.toml", "--json"]
    whole = CliRunner().invoke(group, line)
    assert 0 == whole.exit_code, whole.output
    assert any("not drawn" in what for what in json.loads(whole.stdout)["not_checked"])
    edit(
        world / "mixes/facts/1.0.0/spans.parquet", lambda t: t.with_columns(pl.col("toxicity") / 2)
    )
    assert 3 == CliRunner().invoke(group, line).exit_code
    (world / "facts.toml").write_text(SMALL + "# another\n")
    with pytest.raises(UsageError, match="is not the recipe"):
        asked(world)
