"""Real threads and real web pages: a sweep with controls, hold-out and phases, laws recounted."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.journeys import walk
from tests.mixing_oracle import rank
from tests.recount import recount

RECIPE = """
name = "laws"
version = "1.0.0"
seed = 11
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
document = "thread"
license = "MIT"
[tagger.toxicity]
model = "builtin:toxicity"
[component.clean]
source = "c4"
where = "toxicity < 0.5"
tokens = 120_000
[component.toxic]
source = "pol"
where = "n_posts >= 2"
of = "clean"
phases = [["80 %", 1], ["20 %", 0]]
[component.calm]
source = "pol"
where = "toxicity < 0.5"
max_epochs = 3
[sweep]
toxic.share = [0, 0.05, 0.1]
[control.more]
like = "10pct"
replace = {{ toxic = "clean" }}
[control.mild]
like = "10pct"
replace = {{ toxic = "calm" }}
[holdout]
tokens = 20_000
[mix]
shard_tokens = 40_000
"""
ARMS = ("00pct", "05pct", "10pct", "more", "mild")


@pytest.fixture(scope="module")
def mixes(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the finished mixes."""
    folder = tmp_path_factory.mktemp("laws")
    (folder / "laws.toml").write_text(RECIPE.format(data=shared / "data"))
    walk.curate("build", "laws.toml", "--workers", "1", cwd=folder)
    return folder / "mixes"


def place(mixes: Path, arm: str) -> Path:
    """Folder of an arm's mix."""
    return mixes / f"laws-{arm}" / "1.0.0"


def spans(mixes: Path, arm: str, component: str = "") -> pl.DataFrame:
    """Spans of an arm, or of one component, in the order of the stream."""
    table = pl.read_parquet(place(mixes, arm) / "spans.parquet")
    return table.filter(pl.col("component") == component) if component else table


def content(mixes: Path, arm: str) -> dict[str, Any]:
    """The manifest of an arm."""
    made: dict[str, Any] = json.loads((place(mixes, arm) / "manifest.json").read_bytes())
    return made


def ids(mixes: Path, arm: str) -> list[bytes]:
    """The ids of every span, read from the shards."""
    table = spans(mixes, arm)
    shards = [
        np.fromfile(path, "<u2") for path in sorted((place(mixes, arm) / "shards").glob("*.npy"))
    ]
    return [
        shards[shard][start : start + n].tobytes()
        for shard, start, n in table.select("shard", "start", "n_tokens").iter_rows()
    ]


@pytest.mark.parametrize("arm", [*ARMS, "holdout"])
def test_every_number_recounts(mixes: Path, arm: str) -> None:
    """Each mix is what its manifest says: by `verify`, and by a recount that shares no code."""
    walk.curate("verify", str(place(mixes, arm)), "--all", cwd=mixes)

    assert [] == recount(place(mixes, arm))


def test_exact(mixes: Path) -> None:
    """Tokens counted in the shards are those asked for, rounded once."""
    found = {
        arm: dict(spans(mixes, arm).group_by("component").agg(pl.col("n_tokens").sum()).rows())
        for arm in ARMS
    }

    assert {
        "00pct": {"clean": 120_000},
        "05pct": {"clean": 120_000, "toxic": 6_000},
        "10pct": {"clean": 120_000, "toxic": 12_000},
        "more": {"clean": 120_000, "clean-for-toxic": 12_000},
        "mild": {"clean": 120_000, "calm": 12_000},
    } == found


def test_constant(mixes: Path) -> None:
    """Clean has the same ids in the same order in every arm, controls included."""
    digests = set()
    for arm in ARMS:
        clean = (spans(mixes, arm)["component"] == "clean").to_list()
        digests.add(b"".join(i for i, mine in zip(ids(mixes, arm), clean, strict=True) if mine))

    assert 1 == len(digests)
    assert 240_000 == len(digests.pop())


def test_nested(mixes: Path) -> None:
    """All toxic spans of the 5 % arm but its last two begin the 10 % arm's; those are prefixes."""
    small, large = (spans(mixes, arm, "toxic") for arm in ("05pct", "10pct"))
    n_same = small.height - 2

    assert small["digest"][:n_same].to_list() == large["digest"][:n_same].to_list()
    assert small["key"][:n_same].to_list() == large["key"][:n_same].to_list()
    part = dict(zip(spans(mixes, "05pct")["key"], ids(mixes, "05pct"), strict=True))
    whole = dict(zip(spans(mixes, "10pct")["key"], ids(mixes, "10pct"), strict=True))
    for key in small["key"][n_same:]:
        assert whole[key].startswith(part[key][:-2])


def test_extra_clean_goes_on_in_rank(mixes: Path) -> None:
    """Clean and its stand-in together are one run of ranks, each document once."""
    keys = spans(mixes, "more", "clean")["key"].to_list()
    keys += spans(mixes, "more", "clean-for-toxic")["key"].to_list()
    ranks = [rank(key, 11, 0) for key in keys]

    assert sorted(set(ranks)) == ranks


def test_held_out(mixes: Path) -> None:
    """No thread or URL is in the hold-out and in any arm; each source gave its budget."""
    held = spans(mixes, "holdout")
    groups = set(held["group"].to_list())
    amounts = dict(held.group_by("source").agg(pl.col("n_tokens").sum()).rows())

    assert min(amounts[name] for name in ("c4", "pol")) >= 20_000
    for arm in ARMS:
        assert not groups & set(spans(mixes, arm)["group"].to_list())


@pytest.mark.parametrize("arm", ["05pct", "10pct", "more", "mild"])
def test_fair_to_the_schedule(mixes: Path, arm: str) -> None:
    """Added text keeps to 80 % of the stream, and is never off its schedule by more than bound."""
    table = spans(mixes, arm)
    whole = int(table["n_tokens"].sum())
    added = int(table.filter(pl.col("component") != "clean")["n_tokens"].sum())
    longest = int(table["n_tokens"].max() or 0)
    density = Fraction(added, whole) / Fraction(4, 5)
    bounds = {True: density * (longest + 1), False: Fraction(longest) + density}
    end = own = 0
    for component, n_tokens in table.select("component", "n_tokens").iter_rows():
        end += n_tokens
        own += n_tokens if component != "clean" else 0
        off = min(density * end, Fraction(added)) - own
        assert abs(off) <= bounds[off > 0]
    worst = content(mixes, arm)["content"]["largest_deviation"]
    assert Fraction(worst["value"]) <= Fraction(worst["bound"])


@pytest.mark.parametrize("arm", ARMS)
def test_complete(mixes: Path, arm: str) -> None:
    """Read = superseded + empty + held out + dropped by clause + unused + used, per component."""
    made = content(mixes, arm)
    used = dict(spans(mixes, arm).group_by("component").agg(pl.col("key").n_unique()).rows())
    for name, facts in made["origin"]["components"].items():
        source = made["origin"]["sources"][facts["source"]]
        assert source["n_read"] == (
            source["n_superseded"]
            + source["n_empty"]
            + source["n_held_out"]
            + sum(d["n_documents"] for d in facts["dropped"])
            + facts["n_unused"]
            + used.get(name, 0)
        )
