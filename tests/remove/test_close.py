"""Places are closed up where nothing can fill them."""

import shutil
from collections.abc import Callable

import polars as pl

from tests.remove.world import World, picked, whole


def test_closing_up_needs_no_store_and_shortens(world: Callable[..., World]) -> None:
    """The clean part is shorter by exactly what went, and says so."""
    w = world()
    some = picked(w, "clean", 4)
    n = int(w.spans().filter(pl.col("id") == some)["n_tokens"].sum())
    shutil.rmtree(w.folder / "store")
    w.remove([some], close=True)
    [clean] = [c for c in w.mix(version="1.0.1").content["components"] if c["name"] == "clean"]

    assert (2_000 - n, -n) == (clean["n_tokens"], clean["residual"])
    whole(w, "1.0.1")


def test_a_whole_shard_may_be_closed_up(world: Callable[..., World]) -> None:
    """The shards after it are renumbered, and are still the same files."""
    w = world()
    some = w.spans("00pct").filter(pl.col("shard") == 1)["id"].to_list()
    w.remove(some, close=True)
    before, after = w.mix("00pct"), w.mix("00pct", "1.0.1")

    assert len(before.shards) - 1 == len(after.shards)
    assert before.shards[2]["sha256"] == after.shards[1]["sha256"]
    whole(w, "1.0.1")


def test_the_hold_out_loses_it_too(world: Callable[..., World]) -> None:
    """A held-out page is closed up in the hold-out; the arms are as they were."""
    w = world()
    some = w.spans("holdout")["id"][0]
    w.remove([some])

    assert some not in w.spans("holdout", "1.0.1")["id"].to_list()
    assert w.mix().manifest["content_id"] == w.mix(version="1.0.1").manifest["content_id"]
    whole(w, "1.0.1")
