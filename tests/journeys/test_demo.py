"""The demo: two sample dumps in, six mixes out whose every number is right."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.journeys import walk
from tests.recount import recount

ARMS = {
    "00pct": 0,
    "05pct": 5_000,
    "10pct": 10_000,
    "15pct": 15_000,
    "20pct": 20_000,
    "25pct": 25_000,
}
"""Arm → 4chan tokens: so many hundredths of 100,000 clean ones."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the demo has been built once with two workers."""
    folder = walk.demo_folder(tmp_path_factory.mktemp("demo"))
    walk.curate("build", "recipes/demo.toml", "--workers", "2", "--locked", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def manifests(demo: Path) -> dict[str, Any]:
    """Arm → manifest."""
    return {
        name.removeprefix("demo-"): json.loads(data) for name, data in walk.manifests(demo).items()
    }


def test_six_arms(manifests: dict[str, Any]) -> None:
    """There is one mix per share of the recipe."""
    assert sorted(ARMS) == sorted(manifests)


@pytest.mark.parametrize("arm", ARMS)
def test_every_number_is_recounted(demo: Path, arm: str) -> None:
    """A script that knows only json, numpy and polars finds every number of the manifest right."""
    assert [] == recount(demo / "mixes" / f"demo-{arm}" / "1.0.0")


@pytest.mark.parametrize(("arm", "toxic"), ARMS.items())
def test_amounts_are_exact(manifests: dict[str, Any], arm: str, toxic: int) -> None:
    """Every arm has 100,000 clean tokens and exactly its share of 4chan tokens."""
    found = {c["name"]: c["n_tokens"] for c in manifests[arm]["content"]["components"]}

    assert {"clean": 100_000, "toxic": toxic} == {"toxic": 0, **found}
    assert 100_000 + toxic == manifests[arm]["content"]["n_tokens"]


def test_the_clean_part_is_the_same(manifests: dict[str, Any]) -> None:
    """All six arms have the same clean stream digest."""
    digests = {walk.component(m, "clean")["stream_digest"] for m in manifests.values()}

    assert 1 == len(digests)


def test_arms_nest(demo: Path) -> None:
    """All 4chan spans of an arm but its last two are the first of the next arm."""
    columns = ["key", "epoch", "n_tokens", "digest"]
    spans = [
        pl.read_parquet(demo / f"mixes/demo-{arm}/1.0.0/spans.parquet")
        .filter(pl.col("component") == "toxic")
        .select(columns)
        for arm in ARMS
    ]
    for smaller, larger in pairwise(spans[1:]):
        kept = max(smaller.height - 2, 0)
        assert smaller.head(kept).equals(larger.head(kept))


def test_built_again_it_says_so(demo: Path) -> None:
    """A finished build is recognised and nothing is written."""
    before = {p: p.stat().st_mtime_ns for p in sorted((demo / "mixes").rglob("*"))}
    done = walk.curate("build", "recipes/demo.toml", "--json", cwd=demo)

    assert "up-to-date" == json.loads(done.stdout)["state"]
    assert before == {p: p.stat().st_mtime_ns for p in sorted((demo / "mixes").rglob("*"))}


def test_the_committed_record_is_what_is_built(demo: Path, root: Path) -> None:
    """The manifests in the repository are, byte for byte, those of this build."""
    recorded = {
        path.parent.name: path.read_bytes()
        for path in sorted((root / "manifests").glob("demo-*/1.0.0.json"))
    }

    assert recorded == walk.manifests(demo)


def test_verify_all_passes(demo: Path) -> None:
    """`curate verify --all` finds nothing wrong and says what it did not check."""
    done = walk.curate("verify", "mixes/demo-10pct/1.0.0", "--all", cwd=demo)

    assert "not checked" in done.stdout


def test_sha256sum_agrees(demo: Path) -> None:
    """The mix can be checked without us."""
    import subprocess

    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
        cwd=demo / "mixes/demo-25pct/1.0.0",
        capture_output=True,
        text=True,
    )

    assert (0, "") == (done.returncode, done.stdout)


def test_another_content_under_the_same_version_is_refused(demo: Path, tmp_path: Path) -> None:
    """A recipe that mixes something else must take another version; nothing is overwritten."""
    folder = walk.demo_folder(tmp_path / "demo")
    recipe = folder / "recipes/demo.toml"
    recipe.write_text(recipe.read_text().replace("seed    = 7", "seed    = 8"))
    out = str(demo / "mixes")
    before = walk.manifests(demo)
    done = walk.curate("build", "recipes/demo.toml", "--out", out, cwd=folder, expect=3)

    assert "exists with another content" in done.stderr
    assert 'version = "1.1.0"' in done.stderr
    assert before == walk.manifests(demo)


def test_another_input_is_refused(tmp_path: Path) -> None:
    """A dump that is not the locked one stops the build with both digests."""
    folder = walk.demo_folder(tmp_path / "demo")
    with (folder / "samples/c4.json.gz").open("ab") as file:
        file.write(b"\0")
    done = walk.curate("build", "recipes/demo.toml", cwd=folder, expect=3)

    assert "samples/c4.json.gz" in done.stderr
    assert not (folder / "mixes").exists()


def test_plan_without_pools_names_the_command(tmp_path: Path) -> None:
    """Without pools `plan` exits 5 and says how to make them."""
    folder = walk.demo_folder(tmp_path / "demo")
    done = walk.curate("plan", "recipes/demo.toml", cwd=folder, expect=5)

    assert "curate build recipes/demo.toml --until tokenize" in done.stderr


def test_plan_shows_every_arm(demo: Path) -> None:
    """With pools `plan` prints the exact tokens of every arm."""
    done = walk.curate("plan", "recipes/demo.toml", cwd=demo)

    for toxic in ARMS.values():
        assert f"{100_000 + toxic:,}" in done.stdout
