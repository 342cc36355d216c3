"""What a built mix says of where it came from is a fact that the build met, and no more."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate import manifest
from curate.audit.find import find
from curate.audit.opened import open_mix
from curate.audit.verify import verify
from curate.fingerprint import canonical
from curate.run.build import build
from curate.run.order import Order
from curate.store import Store
from tests.journeys import walk

RECIPE = """
name = "facts"
version = "1.0.0"
[tokenizer]
file = "builtin:demo"
eos = "<|endoftext|>"
[source.c4]
reader = "c4"
files = ["samples/c4.json.gz"]
license = "Apache-2.0"
terms = "https://example.org/terms"
[source.pol]
reader = "4chan"
files = ["samples/4chan.ndjson.zst"]
license = "Apache-2.0"
[tagger.toxicity]
model = "builtin:toxicity"
[tagger.blocked]
kind = "wordlist"
files = ["blocked.txt"]
[component.clean]
source = "c4"
where = "toxicity < 0.5 and blocked == 0"
tokens = 60_000
[component.toxic]
source = "pol"
of = "clean"
share = 0.1
[mix]
shard_tokens = 20_000
"""
WORDS = ["guarantee", "online"]


def made(folder: Path, text: str) -> Path:
    """The mix folder of a recipe, built in this process."""
    (folder / "blocked.txt").write_text("\n".join(["# a list", *WORDS]) + "\n")
    (folder / "facts.toml").write_text(text)
    order = Order(
        folder / "facts.toml", Store(folder / "store"), folder / "mixes", folder / "manifests"
    )
    return build(order).mixes["facts"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with dumps that was worked in, so that a store is there to go on from."""
    folder = walk.demo_folder(tmp_path_factory.mktemp("facts"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def mix(world: Path) -> Path:
    """A mix with the list of what is not in it."""
    return made(world, RECIPE + "dropped = true\n")


@pytest.fixture(scope="module")
def origin(mix: Path) -> dict[str, Any]:
    """Its origin."""
    found: dict[str, Any] = manifest.load(mix)["origin"]
    return found


def test_what_was_not_looked_for_is_named(origin: dict[str, Any]) -> None:
    """No stage compares with evaluation sets, and the manifest does not let anyone think so."""
    assert [] == origin["evaluations"]["checked"]
    assert {"MMLU", "RealToxicityPrompts", "ToxiGen"} <= set(origin["evaluations"]["not_checked"])
    assert "opt_outs" not in origin


def test_sources_have_their_terms_and_their_period(origin: dict[str, Any]) -> None:
    """Terms where the recipe has some, the first and last day of the documents."""
    assert "https://example.org/terms" == origin["sources"]["c4"]["terms"]
    assert "terms" not in origin["sources"]["pol"]
    assert {"from": "2019-04-18", "to": "2019-04-26"} == origin["sources"]["c4"]["period"]


def test_every_stage_and_tagger_says_how_exact_it_is(origin: dict[str, Any]) -> None:
    """The model's card knows; a list of words is exact."""
    assert {"read", "tag", "tokenize", "plan", "write"} == set(origin["stages"])
    assert all(stage["determinism"] for stage in origin["stages"].values())
    assert "exact" == origin["taggers"]["blocked"]["determinism"]
    assert "1e-4" in origin["taggers"]["toxicity"]["determinism"]


def test_a_model_names_the_golden_scores_it_gave_again(origin: dict[str, Any], root: Path) -> None:
    """Those of its card: how many, and their digest."""
    golden = json.loads((root / "curate/models/toxicity.json").read_bytes())["golden"]
    digest = hashlib.sha256(canonical(golden)).hexdigest()

    assert {"sha256": digest, "n_texts": len(golden), "passed": True} == origin["taggers"][
        "toxicity"
    ]["self_test"]
    assert "self_test" not in origin["taggers"]["blocked"]


def test_a_list_of_words_is_named_by_digest(origin: dict[str, Any], mix: Path) -> None:
    """Block lists are screened for, counted and pinned; what stands in them is not published."""
    declared = origin["taggers"]["blocked"]["declared"]
    dropped = {d["clause"]: d["n_documents"] for d in origin["components"]["clean"]["dropped"]}
    facts = json.loads((mix / "manifest.json").read_bytes())
    del facts["origin"]["recipe"]

    assert {"sha256": hashlib.sha256(canonical(WORDS)).hexdigest(), "n_entries": 2} == declared[
        "list"
    ]
    assert dropped["blocked == 0"] > 0
    assert WORDS[0] not in json.dumps(facts)
    assert {0} == set(
        pl.read_parquet(mix / "spans.parquet").filter(component="clean")["blocked"].to_list()
    )


def test_the_list_of_what_is_not_in_needs_no_store(mix: Path) -> None:
    """A page with a blocked word: `find` names the clause from the mix alone."""
    table = pl.read_parquet(mix / "dropped.parquet")
    key = table.filter(clause="blocked == 0")["key"][0]
    [reason] = find(open_mix(mix), id_=f"key:{key.hex()}")["left_out"]

    assert {"stage": "plan", "component": "clean", "why": "blocked == 0"} == reason
    report = verify(mix, read_data=True, semantic=True)
    assert () == report.findings
    assert any("dropped.parquet" in line for line in report.checked)


def test_without_being_asked_there_is_no_such_list(world: Path, mix: Path) -> None:
    """The same content, another manifest: files are part of it."""
    other = made(world, RECIPE.replace('"1.0.0"', '"1.0.1"'))

    assert not (other / "dropped.parquet").exists()
    assert manifest.load(other)["content_id"] == manifest.load(mix)["content_id"]


def test_long_lists_of_a_build_become_tables(
    world: Path, mix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for one shard and one input the manifest refers to tables; all checks hold."""
    monkeypatch.setattr(manifest, "LISTS", {("content", "shards"): 1, ("origin", "inputs"): 1})
    long = made(world, RECIPE.replace('"1.0.0"', '"1.0.2"'))
    facts, whole = manifest.load(long), manifest.load(mix)

    assert "shards.parquet" == facts["content"]["shards"]["table"]
    assert whole["content"]["shards"] == manifest.listed(facts["content"]["shards"], long)
    assert whole["origin"]["inputs"] == manifest.listed(facts["origin"]["inputs"], long)
    assert () == verify(long, read_data=True, semantic=True).findings
