"""A dear tagger on a sample: which documents, what it costs, and what the cheap score becomes."""

import hashlib
import json
import random
from pathlib import Path

import fasttext
import numpy as np
import polars as pl
import pytest

from curate import document, store, taggers
from curate.errors import InputError, IntegrityError
from curate.taggers import retag, sampling

WHERE = "x.toml"
WORDS = ["you", "silly", "fool", "nice", "day", "walk", "the", "library", "idiot", "stupid"]


@pytest.fixture(scope="module")
def dear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second fastText model, with other opinions than the shipped one."""
    folder = tmp_path_factory.mktemp("dear")
    (folder / "lines.txt").write_text(
        "__label__toxic silly fool stupid\n__label__clean nice day walk\n" * 100
    )
    model = fasttext.train_supervised(
        str(folder / "lines.txt"), dim=4, minCount=1, bucket=10, thread=1, verbose=0
    )
    model.save_model(str(folder / "dear.bin"))
    return folder / "dear.bin"


def world(folder: Path, dear: Path, *, sample: int = 60) -> tuple[list, dict, dict]:
    """Two documents parts of 100 rows, tagged cheaply; the parts and both declarations."""
    told = taggers.declare_all(
        {
            "toxicity": {"model": "builtin:toxicity"},
            "dear": {
                "model": str(dear),
                "label": "toxic",
                "calibrates": "toxicity",
                "sample": sample,
                "seed": 3,
            },
        },
        where=WHERE,
    )
    draw = random.Random(1)
    parts = []
    for part in ("a-00000", "b-00000"):
        texts = [" ".join(draw.choices(WORDS, k=6)) + f" {part} {n}" for n in range(100)]
        keys = [document.key(text) for text in texts]
        groups = [document.key(f"{part} thread {n // 5}") for n in range(100)]
        path = folder / f"{part}.documents.parquet"
        sizes = pl.Series([len(t) for t in texts], dtype=pl.UInt32)
        pl.DataFrame({"key": keys, "group": groups, "text": texts, "n_bytes": sizes}).write_parquet(
            path
        )
        taggers.tag_part(
            path, told["toxicity"], out=folder / "cheap", part=part, progress=lambda n: None
        )
        parts.append((part, path, folder / "cheap" / f"{part}.parquet"))
    return parts, told["toxicity"], told["dear"]


def test_a_sample_is_tagged_and_everything_is_calibrated(tmp_path: Path, dear: Path) -> None:
    """Dear scores for the sample and null elsewhere; a calibrated score for every document."""
    parts, _, told = world(tmp_path, dear)
    said: list[int] = []
    facts = taggers.calibrate_source(parts, told, out=tmp_path / "out", progress=said.append)
    tables = [pl.read_parquet(tmp_path / "out" / f"{name}.parquet") for name, _, _ in parts]
    everything = pl.concat(tables)
    sample = pl.read_parquet(tmp_path / "out" / "sample.parquet")

    assert ["dear", "toxicity.calibrated"] == everything.columns == list(taggers.columns(told))
    assert 60 == sum(said) == sample.height == facts["n_sampled"]
    assert 60 == everything["dear"].is_not_null().sum()
    assert 200 == round(sample["weight"].sum())
    assert 0 == everything["toxicity.calibrated"].null_count()
    assert float(facts["error_after"]) < float(facts["error_before"])
    for name, _, _ in parts:
        receipt = store.read_receipt(tmp_path / "out", name)
        assert receipt is not None
        assert 100 - sample.filter(part=name).height == receipt["columns"]["dear"]["n_null"]


def test_calibrated_scores_keep_the_order_of_the_cheap_ones(tmp_path: Path, dear: Path) -> None:
    """The map is monotone: who scores higher stays at least as high."""
    parts, _, told = world(tmp_path, dear)
    taggers.calibrate_source(parts, told, out=tmp_path / "out", progress=lambda n: None)
    cheap = pl.concat([pl.read_parquet(tags) for _, _, tags in parts])["toxicity"]
    made = pl.concat([pl.read_parquet(tmp_path / "out" / f"{n}.parquet") for n, _, _ in parts])
    ordered = made["toxicity.calibrated"].to_numpy()[np.argsort(cheap.to_numpy())]

    assert (np.diff(ordered) >= 0).all()


def test_the_sample_does_not_depend_on_parts(tmp_path: Path, dear: Path) -> None:
    """Parts in another order, and another sample size: the same documents, or more of them."""
    parts, _, told = world(tmp_path, dear)
    tagged = [sampling.TaggedPart(*part) for part in parts]
    keys = {
        (order, n): set(sampling.drawn(tagged[::order], {**told, "sample": n})["key"])
        for order in (1, -1)
        for n in (30, 60)
    }

    assert keys[1, 30] == keys[-1, 30]
    assert keys[1, 60] == keys[-1, 60]
    assert 30 == len(keys[1, 30])


def test_doing_it_again_gives_the_same_bytes_and_tags_nothing(tmp_path: Path, dear: Path) -> None:
    """The sample that is there is used; every file is as before."""
    parts, _, told = world(tmp_path, dear)
    out = tmp_path / "out"

    def digests() -> dict[str, str]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in out.iterdir()
            if "receipt" not in path.name
        }

    taggers.calibrate_source(parts, told, out=out, progress=lambda n: None)
    first = digests()
    said: list[int] = []
    taggers.calibrate_source(parts, told, out=out, progress=said.append)

    assert first == digests()
    assert [] == said
    assert "map" in json.loads((out / "calibration.json").read_text())


def test_a_sample_larger_than_the_source_is_all_of_it(tmp_path: Path, dear: Path) -> None:
    """Every document is tagged and stands for itself."""
    parts, _, told = world(tmp_path, dear, sample=10_000)
    taggers.calibrate_source(parts, told, out=tmp_path / "out", progress=lambda n: None)
    sample = pl.read_parquet(tmp_path / "out" / "sample.parquet")

    assert 200 == sample.height
    assert {1.0} == set(sample["weight"])


def test_tags_that_do_not_fit_are_refused(tmp_path: Path, dear: Path) -> None:
    """The cheap tags must have the documents' rows."""
    parts, _, told = world(tmp_path, dear)
    (name, path, tags), _ = parts
    short = tmp_path / "short.parquet"
    pl.read_parquet(tags).head(5).write_parquet(short)

    with pytest.raises(InputError, match="not the same rows"):
        taggers.calibrate_source(
            [(name, path, short)], told, out=tmp_path / "out", progress=lambda n: None
        )


def test_recorded_scores_are_given_again(tmp_path: Path, dear: Path) -> None:
    """Fifty documents drawn by key are scored again; which ones does not depend on the parts."""
    parts, told, _ = world(tmp_path, dear)
    facts = retag.retagged(parts, told, n=50, seed=1)

    assert {"n_documents": 50, "largest_difference": "0.000000", "n_differing": 0} == facts
    assert facts == retag.retagged(parts[::-1], told, n=50, seed=1)


def test_a_score_that_was_changed_is_found(tmp_path: Path, dear: Path) -> None:
    """A tag that the model does not give is named by part, row and column (exit 3)."""
    parts, told, _ = world(tmp_path, dear)
    path = parts[1][2]
    tags = pl.read_parquet(path).with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(0.123).otherwise("toxicity").alias("toxicity")
    )
    tags.cast({"toxicity": pl.Float32}).write_parquet(path)

    with pytest.raises(IntegrityError, match="b-00000: the model does not give") as caught:
        retag.retagged(parts, told, n=200, seed=1)
    assert "row 7" in caught.value.details[0]
