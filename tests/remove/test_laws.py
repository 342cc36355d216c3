"""Laws of taking down, over any documents and any wish: close up, fill again, check everything."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.audit.diff import diff
from curate.audit.opened import open_mix
from curate.audit.verify import verify
from curate.run.remove import Request, remove
from tests import recount
from tests.tiny_mix import Document, thread, web, write

TEXTS = st.text("abc xyz", min_size=1, max_size=30).map(lambda text: f"[{text}]")


@st.composite
def mixes(draw: st.DrawFn) -> tuple[list[Document], dict[str, Any], list[list[int]]]:
    """Documents of two components, some with equal texts, how to mix them, and what to take out."""
    clean = [web(text, n) for n, text in enumerate(draw(st.lists(TEXTS, min_size=1, max_size=9)))]
    toxic = [thread(text, n) for n, text in enumerate(draw(st.lists(TEXTS, max_size=5)))]
    how = {
        "shard_tokens": draw(st.integers(33, 90)),
        "dtype": draw(st.sampled_from(["uint16", "uint32"])),
        "seed": draw(st.integers(0, 9)),
        "budgets": {"clean": draw(st.integers(3, 150))},
    }
    wish = st.lists(st.integers(0, 30), min_size=1, max_size=3)
    return clean + toxic, how, draw(st.lists(wish, min_size=1, max_size=3))


@settings(max_examples=60)
@given(world=mixes())
def test_what_is_closed_up_is_gone_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    world: tuple[list[Document], dict[str, Any], list[list[int]]],
) -> None:
    """Out: what was asked for and copies of its text; all others keep their order and ids."""
    documents, how, wishes = world
    place = tmp_path_factory.mktemp("laws")
    folder = write(place / "tiny" / "1.0.0", documents=documents, **how)
    for wish in wishes:
        before = pl.read_parquet(folder / "spans.parquet")
        if not before.height:
            return
        ids = sorted({before["id"][n % before.height] for n in wish})
        contents = before.filter(pl.col("id").is_in(ids))["content"].unique()
        gone = before.filter(pl.col("content").is_in(contents.implode()))
        mix = open_mix(folder)
        answer = remove(
            [mix], Request(ids, "law", close=True), job=None, recipe=None, secret=place / "key"
        )
        folder = answer.mixes[0].folder
        after = pl.read_parquet(folder / "spans.parquet")
        found = diff(mix, open_mix(folder))

        assert set(gone["id"]) == {d["id"] for d in found["documents"]["out"]["listed"]}
        assert 0 == found["documents"]["in"]["n_documents"]
        kept = before.filter(~pl.col("id").is_in(gone["id"].unique().implode()))
        columns = ["id", "epoch", "n_tokens", "digest", "component"]
        assert kept.select(columns).equals(after.select(columns))
        assert () == verify(folder, read_data=True, semantic=True, threads=1).findings
        assert [] == recount.recount(folder)


def test_a_mix_may_be_closed_up_to_nothing(tmp_path: Path) -> None:
    """The last document goes: no shards, no spans, and still a manifest that holds."""
    documents = [web("Only this.", 1)]
    mix = open_mix(write(tmp_path / "tiny" / "1.0.0", documents=documents))
    answer = remove(
        [mix],
        Request([documents[0].id], "law", close=True),
        job=None,
        recipe=None,
        secret=tmp_path / "key",
    )

    report = verify(answer.mixes[0].folder, read_data=True, semantic=True)
    assert () == report.findings
