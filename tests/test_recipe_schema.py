"""What editors, newcomers and the manual are given: the schema, the template, the examples."""

import json
import re
import tomllib
from fractions import Fraction
from pathlib import Path

import jsonschema
from click.testing import CliRunner

from curate import recipe
from curate.cli import init as init_command
from curate.cli import schema as schema_command
from curate.errors import UsageError
from curate.recipe.schema import schema
from tests.test_recipe import MISTAKES, PAPER


def test_the_schema_accepts_what_is_read_and_refuses_what_is_not() -> None:
    """The JSON Schema and the reader agree on the shape of a recipe."""
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())

    assert [] == list(validator.iter_errors(tomllib.loads(PAPER)))
    for case in ("a misspelt key", "two budgets", "no licence", "a list outside the sweep"):
        (old, new), _, _ = MISTAKES[case]
        assert not validator.is_valid(tomllib.loads(PAPER.replace(old, new)))


def test_recipes_of_the_project_fit_their_schema(root: Path) -> None:
    """Every recipe that is shipped reads, and fits the published schema."""
    validator = jsonschema.Draft202012Validator(schema())
    for path in sorted((root / "recipes").glob("*.toml")):
        recipe.load(path)
        assert [] == list(validator.iter_errors(tomllib.loads(path.read_text())))


def test_every_example_of_the_manual_reads(root: Path) -> None:
    """Each block of docs/recipe.md reads, put over the first one."""
    blocks = re.findall(r"```toml\n(.*?)```", (root / "docs" / "recipe.md").read_text(), re.S)
    whole = tomllib.loads(blocks[0], parse_float=Fraction)

    assert len(blocks) == 7
    for block in blocks:
        told = {**whole}
        for name, table in tomllib.loads(block, parse_float=Fraction).items():
            told[name] = {**whole.get(name, {}), **table} if isinstance(table, dict) else table
        if "toxic" in told["component"] and "share" in told["component"]["toxic"]:
            del told["sweep"]
        recipe.build(told, block, Path("manual.toml"))


def test_init_writes_a_recipe_that_reads(tmp_path: Path) -> None:
    """`curate init` writes a commented recipe, once."""
    path = tmp_path / "My_mix.toml"
    done = CliRunner().invoke(init_command.command, [str(path), "--json"])
    made = recipe.load(path)

    assert 0 == done.exit_code
    assert [f"my-mix-{n:02d}pct" for n in (0, 5, 10, 15, 20, 25)] == json.loads(done.output)[
        "mixes"
    ]
    assert "my-mix" == made.name
    again = CliRunner().invoke(init_command.command, [str(path)])
    assert isinstance(again.exception, UsageError)


def test_init_adds_the_suffix_that_is_missing(tmp_path: Path) -> None:
    """`curate init my-mix` writes my-mix.toml, under which every later command finds it."""
    done = CliRunner().invoke(init_command.command, [str(tmp_path / "my-mix"), "--json"])

    assert (0, str(tmp_path / "my-mix.toml")) == (done.exit_code, json.loads(done.output)["recipe"])
    assert "my-mix" == recipe.load(tmp_path / "my-mix.toml").name


def test_what_init_comments_out_reads_too(tmp_path: Path) -> None:
    """Every line that the template offers in a comment is one the reader knows."""
    path = tmp_path / "r.toml"
    CliRunner().invoke(init_command.command, [str(path)])
    lines = path.read_text().splitlines()
    head, body = lines[:3], lines[3:]
    offered = [line.removeprefix("# ") if line.startswith("# ") else line for line in body]
    left_out = ("tokens  = 1_000_000 ", "layout ", "overlap ", "max_document_tokens")
    kept = [line for line in offered if not line.startswith(left_out)]
    made = recipe.parse("\n".join([*head, *kept]), path)

    assert ["more-clean-seed1", "more-clean-seed2", "calm-pol-seed1", "calm-pol-seed2"] == [
        arm.name for arm in made.arms() if arm.replace
    ]
    assert made.holdout is not None


def test_schema_prints_the_schema() -> None:
    """`curate schema recipe` prints JSON."""
    done = CliRunner().invoke(schema_command.command, ["recipe"])

    assert schema() == json.loads(done.output)
