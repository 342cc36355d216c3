"""A cheap score on everything, a dear one on a sample: calibrated, by rule, and estimated."""

import json
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.journeys import walk

RECIPE = """
name = "scored"
version = "1.0.0"
[tokenizer]
file = "builtin:demo"
eos = "<|endoftext|>"
[source.c4]
reader = "c4"
files = ["samples/c4.json.gz"]
license = "Apache-2.0"
[source.pol]
reader = "4chan"
files = ["samples/4chan.ndjson.zst"]
document = "post"
license = "Apache-2.0"
[tagger.toxicity]
model = "builtin:toxicity"
[tagger.dear]
model = "builtin:toxicity"
calibrates = "toxicity"
sample = 200
[component.clean]
source = "c4"
where = 'toxicity < "top 5 % of tokens"'
tokens = 20_000
[component.toxic]
source = "pol"
where = "toxicity.calibrated is not null"
share = 0.1
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a recipe with a calibrated tagger and a rule has been built."""
    folder = walk.demo_folder(tmp_path_factory.mktemp("scored"))
    (folder / "scored.toml").write_text(RECIPE)
    walk.curate("build", "scored.toml", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def manifest(built: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(walk.manifests(built)["scored"])
    return made


def test_the_rule_is_in_the_lock(built: Path, manifest: dict[str, Any]) -> None:
    """The threshold is computed once, written into the lock, and named in the manifest."""
    resolved = tomllib.loads((built / "scored.lock").read_text())["resolved"]
    threshold = resolved["c4: toxicity: top 5 % of tokens"]

    assert [f"toxicity < {threshold}"] == [
        c["clause"] for c in manifest["origin"]["components"]["clean"]["dropped"]
    ]
    assert resolved == manifest["origin"]["lock"]["resolved"]


def test_the_rule_holds(built: Path) -> None:
    """At most 5 % of tokens score at or over the threshold; with the next score more would."""
    lock = tomllib.loads((built / "scored.lock").read_text())
    threshold = float(lock["resolved"]["c4: toxicity: top 5 % of tokens"])
    scores = pl.read_parquet(next((built / "store/tags").glob("c4@*/toxicity@*/*.parquet")))
    pool = pl.read_parquet(next((built / "store/tokens").glob("c4@*/*/*.parquet")))
    table = pl.concat([scores, pool.select("n_tokens")], how="horizontal")
    total = table["n_tokens"].sum()
    over = table.filter(pl.col("toxicity") >= pl.lit(threshold, pl.Float32))
    below = table.filter(pl.col("toxicity") < pl.lit(threshold, pl.Float32))
    next_score = table.filter(pl.col("toxicity") >= below["toxicity"].max())

    assert Fraction(over["n_tokens"].sum(), total) <= Fraction(5, 100)
    assert Fraction(next_score["n_tokens"].sum(), total) > Fraction(5, 100)


def test_a_locked_build_takes_the_number(built: Path, tmp_path: Path) -> None:
    """With the lock, --locked builds the same; without its [resolved] it refuses to guess."""
    folder = walk.demo_folder(tmp_path / "again")
    (folder / "scored.toml").write_text(RECIPE)
    text = (built / "scored.lock").read_text()
    (folder / "scored.lock").write_text(text.split("[resolved]")[0])
    refused = walk.curate("build", "scored.toml", "--locked", cwd=folder, expect=2)
    (folder / "scored.lock").write_text(text)
    walk.curate("build", "scored.toml", "--locked", cwd=folder)

    assert "the lock does not say" in refused.stderr
    assert walk.manifests(built) == walk.manifests(folder)


def test_estimates_start_from_counts(built: Path, manifest: dict[str, Any]) -> None:
    """The apparent share is the counted one: flagged tokens over all tokens of a component."""
    made = manifest["estimates"]["toxicity"]
    spans = pl.read_parquet(built / "mixes/scored/1.0.0/spans.parquet").filter(
        pl.col("component") == "toxic"
    )
    flagged = spans.filter(pl.col("toxicity") >= pl.lit(float(made["threshold"]), pl.Float32))
    expected = Fraction(flagged["n_tokens"].sum(), spans["n_tokens"].sum())
    found = made["components"]["toxic"]["tokens"]

    assert f"{float(expected):.6f}" == found["apparent"]
    assert Fraction(found["low"]) <= Fraction(found["share"]) <= Fraction(found["high"])


def test_estimates_stand_apart(manifest: dict[str, Any]) -> None:
    """Nothing that was estimated is in content; every estimate says its method."""
    assert "estimates" not in manifest["content"]
    assert "toxicity" not in json.dumps(manifest["content"])
    for unit in ("documents", "tokens"):
        for component in manifest["estimates"]["toxicity"]["components"].values():
            assert component[unit]["method"]


def test_the_table_adds_up(manifest: dict[str, Any]) -> None:
    """Source × label: flagged and not flagged are all tokens of the source in the mix."""
    rows = manifest["estimates"]["toxicity"]["by_source"]

    # 10 % of the total: 20,000 / 0.9 × 0.1 = 2,222 and a fraction.
    assert {"c4": 20_000, "pol": 2_222} == {
        row["source"]: row["flagged"] + row["not_flagged"] for row in rows
    }
