"""Turn a recipe of twenty lines into a built sweep that documents can be taken out of."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import polars as pl

from curate.audit.opened import Opened, open_mix
from curate.audit.verify import verify
from curate.run.job import open_job
from curate.run.remove import Answer, Request, remove, siblings
from curate.store import Store
from tests import recount

RECIPE = """
name = "tiny"
version = "1.0.0"
seed = 3
[tokenizer]
file = "builtin:demo"
eos = "<|endoftext|>"
{tokenizer}
[source.web]
reader = "c4"
files = ["web.json.gz"]
license = "CC0-1.0"
[source.rude]
reader = "c4"
files = ["rude.json.gz"]
license = "CC0-1.0"
[component.clean]
source = "web"
tokens = 2_000
max_epochs = {epochs}
[component.toxic]
source = "rude"
of = "clean"
max_epochs = {epochs}
[sweep]
toxic.share = [0, 0.1, 0.2]
[holdout]
tokens = 100
[mix]
shard_tokens = 700
dropped = true
"""

WORDS = (
    "the a old new red blue small large quick slow rain wind stone river lamp town road house "
    "bread clock walks runs sees finds loses keeps under over near behind before after and or"
)


def dump(path: Path, n: int, seed: int, twins: bool = False) -> None:
    """n pages of 20 to 60 words; with `twins` the second half says what the first half says."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS.split(), k=draw.randint(20, 60))) for _ in range(n)]
    if twins:
        texts[n // 2 :] = texts[: n // 2]
    rows = [
        {
            "text": text,
            "url": f"https://{path.stem[:3]}{k % 7}.example/{k}",
            "timestamp": "2020-01-01T00:00:00Z",
        }
        for k, text in enumerate(texts)
    ]
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode(), mtime=0))


class World:
    """A built sweep of three arms and a hold-out, and how to ask for take-downs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out, self.recipe = folder / "mixes", folder / "tiny.toml"
        self.store = Store(folder / "store")

    def mix(self, arm: str = "20pct", version: str = "1.0.0") -> Opened:
        """One mix of the sweep."""
        return open_mix(self.out / f"tiny-{arm}" / version)

    def spans(self, arm: str = "20pct", version: str = "1.0.0") -> pl.DataFrame:
        """Its spans, read without the package."""
        return pl.read_parquet(self.out / f"tiny-{arm}" / version / "spans.parquet")

    def remove(self, ids: list[str], of: str = "1.0.0", **how: Any) -> Answer:
        """Take documents down everywhere."""
        mixes = how.pop("mixes", None) or siblings(self.mix(version=of))
        job = None if how.get("close") else open_job(self.recipe, store=self.store, locked=True)
        return remove(
            mixes,
            Request(ids, how.pop("reason", "test"), **how),
            job=job,
            recipe=self.recipe,
            secret=self.folder / "store" / "removals.key",
            record=self.folder / "manifests",
        )


def whole(world: World, version: str) -> None:
    """Every mix of a version passes all checks, ours and the stand-alone ones."""
    for arm in ("00pct", "10pct", "20pct", "holdout"):
        folder = world.out / f"tiny-{arm}" / version
        assert () == verify(folder, read_data=True, semantic=True, retokenize=None).findings, arm
        assert [] == recount.recount(folder), arm


def picked(world: World, component: str, number: int, arm: str = "10pct") -> str:
    """The id of the n-th span of a component."""
    found: str = world.spans(arm).filter(pl.col("component") == component)["id"][number]
    return found
