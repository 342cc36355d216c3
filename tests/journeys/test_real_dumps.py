"""Real 4chan threads and real C4, with OLMo's tokenizers: built, exact, verified, readable."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curate import tokenizer
from tests.journeys import walk
from tests.recount import recount

TOKENIZERS = {
    "uint16": "allenai_gpt-neox-olmo-dolma-v1_5.json",
    "uint32": "allenai_dolma2.json",
}
SHARES = {"00pct": 0, "10pct": 20_000, "25pct": 50_000}

RECIPE = """
name = "real"
version = "1.0.0"
seed = 3
[tokenizer]
file = "{tokenizer}"
eos = "<|endoftext|>"
[source.c4]
reader = "c4"
files = ["{data}/c4/c4-train.00000-of-00001.json.gz"]
license = "ODC-BY-1.0"
[source.pol]
reader = "4chan"
files = ["{data}/4chan-pol-2026/ndjson/*.zst"]
document = "thread"
license = "MIT"
[tagger.toxicity]
model = "builtin:toxicity"
[component.clean]
source = "c4"
where = "toxicity < 0.5"
tokens = 200_000
[component.toxic]
source = "pol"
of = "clean"
[sweep]
toxic.share = [0, 0.1, 0.25]
[mix]
shard_tokens = 65_536
"""


@pytest.fixture(scope="module", params=TOKENIZERS)
def built(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, Path]:
    """A folder where real dumps have been built, its width, and the tokenizer's file."""
    folder = tmp_path_factory.mktemp(f"real-{request.param}")
    file = shared / "tokenizers" / TOKENIZERS[request.param]
    (folder / "real.toml").write_text(RECIPE.format(tokenizer=file, data=shared / "data"))
    walk.curate("build", "real.toml", "--workers", "2", cwd=folder)
    return folder, request.param, file


def manifest(folder: Path, arm: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(walk.manifests(folder)[f"real-{arm}"])
    return made


@pytest.mark.parametrize(("arm", "toxic"), SHARES.items())
def test_exact_and_recounted(built: tuple[Path, str, Path], arm: str, toxic: int) -> None:
    """Every arm has its tokens to the token, in the right width, and every number recounts."""
    folder, width, _ = built
    made = manifest(folder, arm)
    amounts = {c["name"]: c["n_tokens"] for c in made["content"]["components"]}

    assert {"clean": 200_000, "toxic": toxic} == {"toxic": 0, **amounts}
    assert width == made["content"]["tokenizer"]["dtype"]
    assert [] == recount(folder / "mixes" / f"real-{arm}" / "1.0.0")


def test_every_record_is_accounted_for(built: tuple[Path, str, Path]) -> None:
    """719 pages of C4 and 603 threads of three days were read; none was rejected."""
    folder, _, _ = built
    inputs = manifest(folder, "25pct")["origin"]["inputs"]
    records = {
        source: sum(i["n_records"] for i in inputs if i["source"] == source)
        for source in ("c4", "pol")
    }

    assert {"c4": 719, "pol": 603} == records
    assert [{}] * 4 == [i["rejected"] for i in inputs]


def test_verify_all(built: tuple[Path, str, Path]) -> None:
    """Every level of verify passes."""
    folder, _, _ = built
    walk.curate("verify", "mixes/real-25pct/1.0.0", "--all", cwd=folder)


def test_the_clean_part_is_the_same(built: tuple[Path, str, Path]) -> None:
    """Every arm has the same clean stream digest."""
    folder, _, _ = built
    digests = {walk.component(manifest(folder, arm), "clean")["stream_digest"] for arm in SHARES}

    assert 1 == len(digests)


def test_tokens_decode_to_their_documents(built: tuple[Path, str, Path]) -> None:
    """The tokens of 200 whole documents decode to their texts, after the tokenizer's normaliser."""
    folder, width, file = built
    mix = folder / "mixes/real-25pct/1.0.0"
    loaded = tokenizer.load(str(file), eos="<|endoftext|>")
    spans = pl.read_parquet(mix / "spans.parquet").filter(~pl.col("cut"))
    texts = dict(
        pl.concat(
            pl.read_parquet(path, columns=["id", "text"])
            for path in sorted((folder / "store/documents").glob("*/*.parquet"))
        ).iter_rows()
    )
    names = [s["name"] for s in manifest(folder, "25pct")["content"]["shards"]]
    shards = [np.fromfile(mix / "shards" / f"{n}.npy", dtype=width) for n in names]
    rows = spans.select("id", "shard", "start", "n_tokens").rows()
    sample = random.Random(5).sample(rows, min(200, len(rows)))
    expected, actual = [], []
    for identifier, shard, start, n_tokens in sample:
        ids = shards[shard][start : start + n_tokens]
        assert ids[-1] == loaded.eos_id
        expected.append(loaded.normalise(texts[identifier]))
        actual.append(loaded.decode(ids[:-1].tolist()))

    assert len(sample) == 200
    # Compared by digest, so that a failure prints no post.
    assert [hash(text) for text in expected] == [hash(text) for text in actual]
