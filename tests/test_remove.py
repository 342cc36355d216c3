"""What is taken down is gone, what comes in its place is in the log, and nothing else moves."""

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.audit.diff import diff
from curate.audit.opened import Opened, open_mix
from curate.audit.verify import verify
from curate.errors import InfeasibleError, IntegrityError, UsageError
from curate.run import removals
from curate.run.build import build
from curate.run.job import open_job
from curate.run.order import Order
from curate.run.places import wanted_of
from curate.run.purge import purge
from curate.run.rebuild import rebuild
from curate.run.remove import Answer, Request, next_version, remove, siblings
from curate.run.substitutes import sizes
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """Builds each kind of world once; tests get copies."""
    made: dict[str, Path] = {}

    def make(tokenizer: str = "", epochs: int = 1, twins: bool = False) -> Path:
        name = f"{tokenizer}{epochs}{twins}"
        if name not in made:
            folder = tmp_path_factory.mktemp("world")
            small = epochs > 1
            dump(folder / "web.json.gz", 20 if small else 160, 1, twins)
            dump(folder / "rude.json.gz", 14 if small else 60, 2)
            (folder / "tiny.toml").write_text(RECIPE.format(tokenizer=tokenizer, epochs=epochs))
            before = Path.cwd()
            os.chdir(folder)
            try:
                build(
                    Order(
                        recipe=folder / "tiny.toml",
                        store=Store(folder / "store"),
                        out=folder / "mixes",
                        record=folder / "manifests",
                    )
                )
            finally:
                os.chdir(before)
            made[name] = folder
        return made[name]

    yield make


@pytest.fixture
def world(
    built: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., World]:
    """A world of one's own; relative names of its recipe are found from its folder."""

    def make(**kind: Any) -> World:
        folder = tmp_path / "world"
        shutil.copytree(built(**kind), folder, symlinks=True)
        monkeypatch.chdir(folder)
        return World(folder)

    return make


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


def test_what_was_taken_down_is_gone_and_everything_else_is_where_it_was(
    world: Callable[..., World],
) -> None:
    """diff(A, remove(A, D)): out is D, in is what the log says, all other spans are the same."""
    w = world()
    ids = [picked(w, "clean", 4), picked(w, "toxic", 1), picked(w, "clean", -1)]
    w.remove(ids)
    whole(w, "1.0.1")
    for arm in ("00pct", "10pct", "20pct"):
        found = diff(w.mix(arm), w.mix(arm, "1.0.1"))
        log = w.mix(arm, "1.0.1").origin["removals"]
        held = set(w.spans(arm)["id"]) & set(ids)
        came = {a["key"] for entry in log for a in entry["added"]}

        assert held == {d["id"] for d in found["documents"]["out"]["listed"]}
        assert came == {d["key"] for d in found["documents"]["in"]["listed"]}
        assert len(held) == len(log)
        before, after = w.spans(arm), w.spans(arm, "1.0.1")
        same = before.filter(~pl.col("id").is_in(ids)).select("key", "start", "digest")
        kept = after.filter(~pl.col("key").bin.encode("hex").is_in(list(came)))
        assert same.equals(kept.select("key", "start", "digest"))


def test_only_the_shards_of_what_went_are_written(world: Callable[..., World]) -> None:
    """All other files of the new version are the old version's, not copies of them."""
    w = world()
    [answer] = [m for m in w.remove([picked(w, "clean", 4)]).mixes if m.mix == "tiny-20pct"]
    old, new = (
        {
            p.name: p.stat().st_ino
            for p in (w.out / "tiny-20pct" / version / "shards").iterdir()
            if p.suffix not in (".bin", ".ds")
        }
        for version in ("1.0.0", "1.0.1")
    )
    written = {name for name in new if old.get(name) != new[name]}

    assert 1 == answer.n_shards
    assert 1 == len({name.split(".")[0] for name in written})
    assert len(w.mix().shards) > 2


def test_arms_get_the_same_documents_and_stay_nested(world: Callable[..., World]) -> None:
    """The clean part is the same in every arm, before and after; toxic arms are still prefixes."""
    w = world()
    w.remove([picked(w, "clean", n) for n in (0, 7, -1)] + [picked(w, "toxic", 0)])
    digests = {
        arm: {c["name"]: c["stream_digest"] for c in w.mix(arm, "1.0.1").content["components"]}
        for arm in ("00pct", "10pct", "20pct")
    }
    small, large = (
        w.spans(arm, "1.0.1").filter(pl.col("component") == "toxic")["digest"].to_list()
        for arm in ("10pct", "20pct")
    )

    assert 1 == len({d["clean"] for d in digests.values()})
    assert small[:-2] == large[: len(small) - 2]


def test_budgets_are_still_met_to_the_token(world: Callable[..., World]) -> None:
    """Every shard has as many tokens as before, every component too."""
    w = world()
    w.remove([picked(w, "clean", n) for n in range(6)])
    for arm in ("00pct", "10pct", "20pct"):
        before, after = w.mix(arm), w.mix(arm, "1.0.1")

        assert [s["n_tokens"] for s in before.shards] == [s["n_tokens"] for s in after.shards]
        assert [c["n_tokens"] for c in before.content["components"]] == [
            c["n_tokens"] for c in after.content["components"]
        ]
        assert before.content["largest_deviation"] == after.content["largest_deviation"]


def test_copies_of_the_text_go_too(world: Callable[..., World]) -> None:
    """Two URLs, one text: who asks for one means both, and neither comes as a substitute."""
    w = world(twins=True)
    some = w.spans("00pct").row(3, named=True)
    w.remove([some["id"]])

    for arm in ("00pct", "10pct", "20pct", "holdout"):
        assert some["content"] not in w.spans(arm, "1.0.1")["content"].to_list()
    whole(w, "1.0.1")


def test_pieces_go_with_their_document(world: Callable[..., World]) -> None:
    """A page that was split into pieces is gone with all of them."""
    w = world(tokenizer="max_document_tokens = 30")
    some = w.spans().filter(pl.col("id").str.contains(r"#[0-9a-f]{16}#"))["id"][0]
    document = some.rpartition("#")[0]
    w.remove([document])

    for arm in ("00pct", "10pct", "20pct"):
        assert not w.spans(arm, "1.0.1")["id"].str.starts_with(document).any()
    whole(w, "1.0.1")


def test_later_epochs_fill_what_earlier_ones_lose(world: Callable[..., World]) -> None:
    """Read twice, removed twice; what comes is what the last epoch had not reached."""
    w = world(epochs=3)
    spans = w.spans("20pct").filter(pl.col("component") == "clean")
    some = spans.filter(pl.col("epoch") == 1)["id"][2]
    assert 2 <= spans.filter(pl.col("id") == some).height
    w.remove([some])

    assert 0 == w.spans("20pct", "1.0.1").filter(pl.col("id") == some).height
    whole(w, "1.0.1")


def test_a_version_can_be_patched_again(world: Callable[..., World]) -> None:
    """A substitute is taken down, then more is closed up, then filled again: all checks hold."""
    w = world()
    w.remove([picked(w, "clean", n) for n in (2, 3)])
    came = [a["key"] for e in w.mix(version="1.0.1").origin["removals"] for a in e["added"]]
    w.remove([f"key:{came[0]}", picked(w, "clean", 9)], of="1.0.1")
    whole(w, "1.0.2")
    w.remove([f"key:{came[-1]}", picked(w, "clean", 12)], of="1.0.2", close=True)
    whole(w, "1.0.3")
    w.remove([picked(w, "clean", 15), picked(w, "toxic", 0)], of="1.0.3")
    whole(w, "1.0.4")
    log = w.mix(version="1.0.4").origin["removals"]

    assert ["1.0.1", "1.0.2", "1.0.3", "1.0.4"] == sorted({entry["version"] for entry in log})
    assert {"version": "1.0.3", "id": w.mix(version="1.0.3").manifest["id"]} == w.mix(
        version="1.0.4"
    ).origin["parent"]


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


def test_one_arm_alone_is_warned_about(world: Callable[..., World]) -> None:
    """What was constant over the sweep now differs."""
    w = world()
    answer = w.remove([picked(w, "clean", 4)], mixes=[w.mix("10pct")])

    assert any("tiny-00pct" in warning for warning in answer.warnings)
    assert not (w.out / "tiny-20pct" / "1.0.1").exists()


def test_the_log_does_not_say_what_went(world: Callable[..., World]) -> None:
    """Neither ids nor keys are in manifests or removals; who has the key can tell."""
    w = world()
    some = picked(w, "clean", 4)
    key = w.spans().filter(pl.col("id") == some)["key"][0]
    w.remove([some], reason="dmca-7")
    manifest = (w.out / "tiny-20pct" / "1.0.1" / "manifest.json").read_text()
    listed = (w.folder / "tiny.removals").read_text()
    secret = removals.secret_of(w.folder / "store" / "removals.key", create=False)
    [entry] = w.mix(version="1.0.1").origin["removals"]

    for text in (manifest, listed):
        assert some not in text and key.hex() not in text
    assert ("dmca-7", removals.keyed(secret, "id", key)) == (entry["reason"], entry["removed"])
    assert f"{entry['removed']} id dmca-7 1.0.0\n" in listed
    assert 0o600 == (w.folder / "store" / "removals.key").stat().st_mode & 0o777


def test_later_versions_are_told_and_this_one_is_not(world: Callable[..., World]) -> None:
    """Builds of 1.1.0 leave it out; 1.0.0 still builds as it did."""
    w = world()
    some = w.spans().filter(pl.col("id") == picked(w, "clean", 4))
    w.remove(some["id"].to_list())
    secret = w.folder / "store" / "removals.key"
    same = removals.matcher(w.recipe, "1.0.0", secret)
    later = removals.matcher(w.recipe, "1.1.0", secret)

    assert not same
    assert [True] == later.matches(some["key"], some["content"]).to_list()
    others = w.spans().filter(pl.col("id") != some["id"][0])
    assert not later.matches(others["key"], others["content"]).any()


def test_a_later_build_leaves_it_out_and_counts_it(world: Callable[..., World]) -> None:
    """Version 1.1.0 of the recipe: the page is not in, the source says how many were removed."""
    w = world()
    some = picked(w, "clean", 4)
    w.remove([some])
    w.recipe.write_text(w.recipe.read_text().replace('"1.0.0"', '"1.1.0"'))
    build(Order(w.recipe, w.store, w.out, w.folder / "manifests"))

    whole(w, "1.1.0")
    assert some not in w.spans("20pct", "1.1.0")["id"].to_list()
    assert 1 == w.mix("20pct", "1.1.0").origin["sources"]["web"]["n_removed"]


def test_what_was_taken_down_does_not_come_back(world: Callable[..., World]) -> None:
    """A page that no arm had reached is taken down first; it is no substitute afterwards."""
    w = world()
    w.remove([picked(w, "clean", 4)])
    came = w.mix(version="1.0.1").origin["removals"][0]["added"][0]["key"]
    again = World(shutil.copytree(w.folder, w.folder.parent / "again", symlinks=True))
    for version in ("1.0.1", "1.0.1.superseded.json"):
        for path in again.out.glob(f"*/{version}"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    again.remove([f"key:{came}"])
    again.remove([picked(w, "clean", 4)], of="1.0.1")

    assert came not in again.spans("20pct", "1.0.2")["key"].bin.encode("hex").to_list()
    whole(again, "1.0.2")


def test_the_old_version_is_marked_and_untouched(world: Callable[..., World]) -> None:
    """Beside it lies who supersedes it; in it not a byte has changed."""
    w = world()
    before = verify(w.out / "tiny-20pct" / "1.0.0", read_data=True).findings
    w.remove([picked(w, "clean", 4)])
    mark = json.loads((w.out / "tiny-20pct" / "1.0.0.superseded.json").read_text())

    assert {"by": "1.0.1", "reason": "test"} == mark
    assert () == before == verify(w.out / "tiny-20pct" / "1.0.0", read_data=True).findings


def test_ids_that_no_mix_holds_are_named_and_noted(world: Callable[..., World]) -> None:
    """They may turn up in a later dump."""
    w = world()
    answer = w.remove(["https://nowhere.example/#0123456789abcdef", picked(w, "clean", 4)])

    assert ["https://nowhere.example/#0123456789abcdef"] == answer.not_found
    assert 3 == len(removals.read(w.folder / "tiny.removals"))  # two ids and one text


def test_a_pool_without_enough_left_is_explained(world: Callable[..., World]) -> None:
    """Every page that was ever read: nothing is left to take its place."""
    w = world()
    parts = (w.folder / "store" / "documents").glob("web@*/*.parquet")
    everything = [i for part in parts for i in pl.read_parquet(part)["id"]]
    with pytest.raises(InfeasibleError, match="too few unused documents") as caught:
        w.remove(everything)

    assert "--close" in caught.value.hint
    assert not list(w.out.glob("*/1.0.1"))


@pytest.mark.parametrize(
    ("ids", "how", "error"),
    [
        ([], {}, UsageError),
        (["a"], {"reason": "two words"}, UsageError),
        (["key:12"], {}, UsageError),
        (["a"], {"version": "1.0.0"}, IntegrityError),
    ],
)
def test_requests_that_make_no_sense_change_nothing(
    world: Callable[..., World], ids: list[str], how: dict[str, Any], error: type[Exception]
) -> None:
    """Refused before a byte is written."""
    w = world()
    with pytest.raises(error):
        w.remove(ids, **how)

    assert not (w.folder / "tiny.removals").exists()
    assert ["1.0.0"] == sorted(p.name for p in (w.out / "tiny-20pct").iterdir())


def test_another_recipe_is_refused(world: Callable[..., World]) -> None:
    """Substitutes are found by the recipe that the mixes were built from."""
    w = world()
    w.recipe.write_text(w.recipe.read_text().replace("seed = 3", "seed = 4"))
    with pytest.raises(IntegrityError, match="not the recipe"):
        w.remove([picked(w, "clean", 4)])


def test_a_forged_log_is_found(world: Callable[..., World]) -> None:
    """A document that the log does not name as a substitute is out of order."""
    from tests.tiny_files import seal

    w = world()
    w.remove([picked(w, "clean", 4)])
    folder = w.out / "tiny-20pct" / "1.0.1"
    facts = json.loads((folder / "manifest.json").read_bytes())
    facts["origin"]["removals"][0]["added"][0]["key"] = "0" * 32
    seal(folder, facts)
    forged = {f.kind for f in verify(folder, semantic=True).findings}
    facts["origin"]["removals"] = []
    seal(folder, facts)
    silent = {f.kind for f in verify(folder, semantic=True).findings}

    assert "removal" in forged
    assert "order" in silent


def test_the_command_takes_a_file_of_ids(world: Callable[..., World]) -> None:
    """`curate remove MIX --ids FILE --reason CODE`, dry first."""
    w = world()
    (w.folder / "ids.txt").write_text(picked(w, "clean", 4) + "\n")
    line = [
        *(sys.executable, "-m", "curate", "remove", "tiny-10pct@1.0.0", "--ids", "ids.txt"),
        *("--reason", "test", "--recipe", "tiny.toml", "--store", "store", "--json"),
    ]
    dry = subprocess.run([*line, "--dry-run"], cwd=w.folder, capture_output=True, text=True)
    assert 0 == dry.returncode, dry.stderr
    assert not (w.out / "tiny-10pct" / "1.0.1").exists()
    done = subprocess.run(line, cwd=w.folder, capture_output=True, text=True)

    assert 0 == done.returncode, done.stderr
    assert 4 == len(json.loads(done.stdout)["mixes"])
    whole(w, "1.0.1")


def test_a_rebuild_gives_the_same_content(world: Callable[..., World]) -> None:
    """The recipe, built somewhere else without the store, and every patch applied again."""
    w = world()
    w.remove([picked(w, "clean", n) for n in (2, 3)] + [w.spans("holdout")["id"][0]])
    w.remove([picked(w, "clean", 9), picked(w, "toxic", 1)], of="1.0.1")
    secret = w.folder / "store" / "removals.key"
    for arm, version, store in (("20pct", "1.0.0", None), ("10pct", "1.0.2", w.store.root)):
        mix = w.mix(arm, version)

        assert [] == rebuild(mix, recipe=w.recipe, store=store, secret=secret)


def test_a_rebuild_finds_another_content(world: Callable[..., World]) -> None:
    """A mix that was sealed with another stream is not what the recipe gives."""
    from tests.tiny_files import seal

    w = world()
    folder = w.out / "tiny-20pct" / "1.0.0"
    facts = json.loads((folder / "manifest.json").read_bytes())
    facts["content"]["n_bytes"] += 1
    seal(folder, facts)
    found = rebuild(w.mix(), recipe=w.recipe, store=w.store.root, secret=Path("none"))

    assert ["content.n_bytes"] == [f.where for f in found]


def test_a_purged_store_holds_the_text_no_more(world: Callable[..., World]) -> None:
    """Documents, tags and tokens; a second run finds nothing to do; a build goes on."""
    w = world(twins=True)
    some = w.spans("00pct").row(3, named=True)
    w.remove([some["id"]])
    job = open_job(w.recipe, store=w.store, locked=True)
    wanted = wanted_of([some["id"]], [w.mix()], job)
    first = purge(job, wanted)
    again = purge(job, wanted)
    left = pl.concat(
        [pl.read_parquet(p) for p in (w.folder / "store" / "documents").glob("web@*/*.parquet")]
    )
    [receipt] = (w.folder / "store" / "documents").glob("web@*/*.receipt.json")
    facts = json.loads(receipt.read_text())

    assert [2] == list(first["rewritten"].values())
    assert {} == again["rewritten"]
    assert some["content"] not in left["content"].to_list()
    assert not list((w.folder / "store" / "tokens").glob("web@*/*/*"))
    assert (158, {"removed": 2}) == (facts["n_documents"], facts["skipped"])
    assert facts["n_records"] == facts["n_documents"] + 2
    assert any("web.json.gz" in place for place in first["not_reached"])
    build(Order(w.recipe, w.store, w.folder / "m2", w.folder / "r2", until="plan"))


@pytest.mark.parametrize(
    ("wholes", "n", "expected"),
    [
        ([5, 5], 10, [5, 5]),
        ([5, 9], 10, [5, 5]),
        ([5, 9], 5, [5]),
        ([9], 4, [4]),
        ([9], 2, [2]),  # a place of one content id and EOS
        ([9, 9], 10, [7, 3]),  # one id would be left: the first gives up two
        ([4, 9], 5, [0, 5]),  # the first is too short for that: it stays out
    ],
)
def test_places_are_filled_to_the_token(wholes: list[int], n: int, expected: list[int]) -> None:
    """Whole documents while they fit, the last cut; no cut under two content ids if possible."""
    assert expected == sizes(wholes, n, least=3)


def test_versions_count_up() -> None:
    """The last number, whatever comes before it."""
    assert ["1.0.1", "1.0.10", "3", "1.0-rc.2"] == [
        next_version(v) for v in ("1.0.0", "1.0.9", "2", "1.0-rc.1")
    ]
    with pytest.raises(UsageError):
        next_version("1.0-beta")
