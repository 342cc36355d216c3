"""What a plan writes and reads: its files, damaged parts, and the paper's sweep at full size."""

import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curate import mixing, recipe
from curate.errors import IntegrityError, RecipeError
from curate.fingerprint import canonical
from curate.mixing import emit, gather, scratch, streams
from curate.store import Part
from tests.mixing_world import HEAD, SWEEP, Doc, Sources, key, plan, write_parts

WEB = [Doc(f"web:{n}", 10, 0.0) for n in range(40)]
POL = [Doc(f"pol:{n}", 10, n / 20) for n in range(20)]
WORLD: Sources = {"web": [WEB], "pol": [POL]}
BOTH = HEAD + '[component.clean]\nsource = "web"\ntokens = 100\n'
TOXIC = '[component.toxic]\nsource = "pol"\n'


def test_plan_json_is_canonical_and_last(tmp_path: Path) -> None:
    """The object that is returned is the one that is written, in canonical JSON."""
    made = plan(tmp_path, BOTH + TOXIC + "tokens = 10\n", WORLD)
    path = made.folder / "plan.json"

    assert canonical(made.facts) == path.read_bytes()
    assert json.loads(path.read_bytes()) == made.facts
    assert ["mix.parquet", "parts.parquet", "plan.json"] == sorted(
        p.name for p in made.folder.iterdir()
    )
    assert {
        "component": pl.UInt16,
        "part": pl.UInt32,
        "row": pl.UInt32,
        "epoch": pl.UInt32,
        "first": pl.UInt32,
        "n_tokens": pl.UInt32,
        "cut": pl.Boolean,
        "n_inserted": pl.UInt32,
        "shard": pl.UInt32,
    } == dict(pl.read_parquet_schema(made.folder / "mix.parquet"))


def test_a_misspelt_tag_is_named_with_the_nearest(tmp_path: Path) -> None:
    """A `where` over a tag that is not there is a mistake of the recipe."""
    text = SWEEP.replace("toxicity < 0.5", "toxcity < 0.5")
    with pytest.raises(
        RecipeError, match=r"component\.clean\.where: there is no tag or column"
    ) as e:
        plan(tmp_path, text, WORLD)

    assert "Did you mean toxicity?" == e.value.hint


def test_tags_of_other_rows_are_refused(tmp_path: Path) -> None:
    """Tags must have the rows of their documents."""
    parts = write_parts(tmp_path, WORLD)
    pl.DataFrame({"toxicity": [0.0]}).cast(pl.Float32).write_parquet(parts["web"][0].tags[0])
    with pytest.raises(IntegrityError, match="have not the rows of its documents"):
        mixing.make_plan(
            recipe.parse(SWEEP, Path("t.toml")), parts, out=tmp_path / "plan", bos=False
        )


def test_a_pool_of_other_documents_is_refused(tmp_path: Path) -> None:
    """Pool and documents must agree in their keys."""
    parts = write_parts(tmp_path, WORLD)
    path = parts["web"][0].pool
    pl.read_parquet(path).with_columns(key=pl.lit(key("other"))).write_parquet(path)
    with pytest.raises(IntegrityError, match="differ in their keys"):
        mixing.make_plan(
            recipe.parse(SWEEP, Path("t.toml")), parts, out=tmp_path / "plan", bos=False
        )


def test_small_buckets_and_little_memory_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan of many buckets on disk is, byte for byte, that of one in memory."""
    rng = np.random.default_rng(1)
    web = [Doc(f"web:{n % 900}", int(t), 0.0) for n, t in enumerate(rng.integers(2, 40, 1000))]
    pol = [
        Doc(f"pol:{n}", int(t), 0.0, f"g{n % 50}") for n, t in enumerate(rng.integers(2, 40, 500))
    ]
    world = {"web": [web[:300], web[300:]], "pol": [pol]}
    text = SWEEP.replace("1_000", "9_000") + "toxic.max_epochs = [3]\nseed = [1, 2]\n"
    text = text.replace('"1/4"', '"2/1"').replace("0.05, ", "")
    text += "[holdout]\ntokens = 300\n"
    whole = plan(tmp_path / "a", text, world)
    for module, name, value in (
        (gather, "BUCKET_ROWS", 100),
        (streams, "RANGE_ROWS", 64),
        (scratch, "MEMORY", 20_000),
        (scratch, "CHUNK", 50),
        (emit, "CHUNK", 70),
    ):
        monkeypatch.setattr(module, name, value)
    parts = plan(tmp_path / "b", text, world)

    assert whole.facts == parts.facts
    for path in sorted(whole.folder.iterdir()):
        assert path.read_bytes() == (parts.folder / path.name).read_bytes()
    assert sorted(p.name for p in parts.folder.iterdir()) == sorted(
        p.name for p in whole.folder.iterdir()
    )


def test_the_papers_sweep_at_full_size(tmp_path: Path) -> None:
    """
    20,099,137,536 clean tokens and up to 25 % more, in documents of 65,536 tokens.

    9,814,032 windows of 2,048 are 306,688.5 documents: 306,688 whole ones and one cut to 32,768.
    5 % is 1,004,956,876.8, rounded once to …877. At 25 % toxic is due every 5 · 65,536 tokens and
    clean every 5/4 · 65,536: five spans of a round are C T C C C.
    """
    size = 65_536
    text = SWEEP.replace("1_000", "20_099_137_536").replace("0.05, ", "0.05, 0.15, 0.2, ")
    told = recipe.parse(text + "[holdout]\ntokens = 5_000_000\n", Path("paper.toml"))
    parts = {
        source: [_many(tmp_path, source, count, size)]
        for source, count in (("web", 310_000), ("pol", 80_000))
    }
    facts = mixing.make_plan(told, parts, out=tmp_path / "plan", bos=False)
    made = {arm["name"]: arm for arm in facts["arms"]}
    added = {"00pct": 0, "05pct": 1_004_956_877, "10pct": 2_009_913_754, "15pct": 3_014_870_630}
    added |= {"20pct": 4_019_827_507, "25pct": 5_024_784_384}

    assert added == {name: arm["components"][1]["n_tokens"] for name, arm in made.items()}
    for arm in made.values():
        clean = arm["components"][0]
        assert (306_689, 20_099_137_536, 32_768) == (
            clean["n_spans"],
            clean["n_tokens"],
            clean["cut"][0]["n_tokens"],
        )
    assert (76_673, 8_192) == (
        made["25pct"]["components"][1]["n_spans"],
        made["25pct"]["components"][1]["cut"][0]["n_tokens"],
    )
    # 77 documents of 65,536 tokens are the first to reach five million.
    assert [77 * size] * 2 == [c["n_tokens"] for c in facts["holdout"]["components"]]
    rounds = pl.read_parquet(tmp_path / "plan" / "25pct.parquet")["component"].to_list()
    assert [0, 1, 0, 0, 0] * 76_672 == rounds[: 5 * 76_672]
    # After C: 65,536 − 4/5 · 65,536 of clean too much; after C T: 2 · 65,536/5 − 65,536 of toxic.
    # The largest: toxic has 65,536 of the 131,072 · 1/5 that are its share, clean as much too few.
    assert f"{3 * size}/5" == made["25pct"]["largest_deviation"]["value"]
    assert 2 * size == made["25pct"]["largest_deviation"]["at"]


def _many(folder: Path, source: str, count: int, size: int) -> Part:
    """A part of equal documents with keys of their own."""
    part = write_parts(folder / source, {source: [[Doc(f"{source}:0", size)]]})[source][0]
    numbers = np.arange(count, dtype=np.uint64)
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(sum(source.encode()))
    raw = np.stack((mixed ^ (mixed >> np.uint64(29)), mixed), axis=1).tobytes()
    keys = pl.Series([raw[n : n + 16] for n in range(0, len(raw), 16)], dtype=pl.Binary)
    for path in (part.documents, *part.tags, part.pool):
        table = pl.read_parquet(path).select(pl.all().repeat_by(count).explode())
        own = {"key": keys, "group": keys, "content": keys, "row": numbers.astype(np.uint32)}
        table.with_columns(**{n: own[n] for n in own if n in table.columns}).write_parquet(path)
    return part


def test_progress_adds_up_to_the_parts(tmp_path: Path) -> None:
    """What `progress` is told sums to the number of parts, whatever the work between."""
    told: list[int] = []
    parts = write_parts(tmp_path, {"web": [WEB[:20], WEB[20:]], "pol": [POL]})
    made = recipe.parse(BOTH + TOXIC + "tokens = 20\n", Path("t.toml"))
    mixing.make_plan(made, parts, out=tmp_path / "plan", bos=False, progress=told.append)

    assert 3 == sum(told)
    assert all(n > 0 for n in told)


def test_plans_of_this_format_do_not_change(tmp_path: Path) -> None:
    """The plan of a fixed world, as a digest: if it changes, FORMAT must be raised with it."""
    text = SWEEP.replace("1_000", "205") + "[holdout]\ntokens = 20\n"
    made = plan(tmp_path, text, WORLD)
    digest = hashlib.sha256((made.folder / "plan.json").read_bytes())
    for path in sorted(made.folder.glob("*pct.parquet")):
        for column in pl.read_parquet(path):
            digest.update(column.to_numpy().tobytes())

    assert (1, "3cf53d882bda7267") == (mixing.FORMAT, digest.hexdigest()[:16])
