"""What a build makes of dumps that are partly unreadable, damaged, or in several pieces."""

import json
from pathlib import Path

import pytest
import zstandard

from curate.taggers.shelf import located
from curate.tokenizer import DEMO
from tests.journeys import walk
from tests.readers_world import lines, thread
from tests.recount import recount

RECIPE = """
name = "small"
version = "1.0.0"
seed = 3
[tokenizer]
file = "builtin:demo"
eos = "<|endoftext|>"
[source.pol]
reader = "4chan"
files = ["dumps/*"]
license = "MIT"
join = {join}
[component.all]
source = "pol"
epochs = 1
[mix]
shard_tokens = 65_536
"""


def folder_with(folder: Path, join: bool, *dumps: bytes) -> Path:
    (folder / "dumps").mkdir()
    for k, dump in enumerate(dumps):
        (folder / "dumps" / f"{k}").write_bytes(dump)
    (folder / "small.toml").write_text(RECIPE.format(join=str(join).lower()))
    return folder


def threads(*numbers: int) -> bytes:
    return lines(*[thread({"no": n, "com": f"a mild word about {n}"}) for n in numbers])


def test_too_many_rejected_records_stop_a_build(tmp_path: Path) -> None:
    """One bad line in 100 is more than 0.1 %: exit 4, with what to do about it."""
    folder = folder_with(tmp_path, False, threads(*range(1, 100)) + b"no thread\n")
    said = walk.curate("build", "small.toml", cwd=folder, expect=4).stderr

    assert "1 of 100 records (not-json 1)" in said
    assert "raise --max-rejected above 1.000%" in said
    assert {} == walk.manifests(folder)
    walk.curate("build", "small.toml", cwd=folder, expect=4)
    walk.curate("build", "small.toml", "--max-rejected", "1 %", cwd=folder)
    (made,) = map(json.loads, walk.manifests(folder).values())
    (entry,) = made["origin"]["inputs"]
    assert (100, 99, {"not-json": 1}) == (
        entry["n_records"],
        entry["n_documents"],
        entry["rejected"],
    )
    walk.curate("build", "small.toml", "--max-rejected", "many", cwd=folder, expect=2)


def test_a_damaged_dump_stops_a_build(tmp_path: Path) -> None:
    """A stream that stops early is exit 4 whatever the limit, and nothing of it is kept as read."""
    whole = zstandard.compress(threads(*range(1, 100)))
    folder = folder_with(tmp_path, False, whole[:-9])
    said = walk.curate("build", "small.toml", "--max-rejected", "1", cwd=folder, expect=4).stderr

    assert "0 is damaged: the stream stops before its end" in said
    assert [] == list(folder.glob("store/documents/*/*.receipt.json"))


@pytest.mark.parametrize(
    ("file", "shipped", "recipe", "changed", "gone"),
    [
        (
            "mine.json",
            DEMO,
            ("builtin:demo", "mine.json"),
            "tokenizer: sha256 is",
            (2, "no tokenizer file mine.json"),
        ),
        (
            "mine.ftz",
            located("builtin:toxicity"),
            ("[component", '[tagger.t]\nmodel = "mine.ftz"\nlabel = "toxic"\n[component'),
            "tagger t: sha256 is",
            (4, "no such model: mine.ftz"),
        ),
    ],
)
def test_a_tokenizer_or_model_that_changed_is_refused(
    tmp_path: Path,
    file: str,
    shipped: Path,
    recipe: tuple[str, str],
    changed: str,
    gone: tuple[int, str],
) -> None:
    """Also by a build that was finished: the lock says which bytes it was."""
    folder = folder_with(tmp_path, False, threads(*range(1, 100)))
    mine = folder / file
    mine.write_bytes(shipped.read_bytes())
    text = (folder / "small.toml").read_text()
    (folder / "small.toml").write_text(text.replace(*recipe, 1))
    walk.curate("build", "small.toml", cwd=folder)
    assert "up to date" in walk.curate("build", "small.toml", cwd=folder).stdout
    mine.write_bytes(shipped.read_bytes() + b"\n")

    assert changed in walk.curate("build", "small.toml", cwd=folder, expect=3).stderr
    mine.unlink()
    code, said = gone
    assert said in walk.curate("build", "small.toml", cwd=folder, expect=code).stderr


def test_joined_dumps_are_one(tmp_path: Path) -> None:
    """With join, posts of a thread in two dumps are one document; without it the longer counts."""
    early = thread({"com": "first"}, {"com": "second"})
    late = {"posts": [{"no": 72, "resto": 70, "time": 1_500_000_009, "com": "third"}]}
    found = {}
    for join in (True, False):
        folder = tmp_path / str(join)
        folder.mkdir()
        folder_with(folder, join, lines(early) + threads(5), lines(late))
        walk.curate("build", "small.toml", "--workers", "2", cwd=folder)
        (made,) = map(json.loads, walk.manifests(folder).values())
        inputs = made["origin"]["inputs"]
        assert 2 == len(inputs)
        assert [] == recount(folder / "mixes" / "small" / "1.0.0")
        walk.curate("verify", "mixes/small/1.0.0", "--all", cwd=folder)
        again = walk.curate("build", "small.toml", cwd=folder)
        assert "up to date" in again.stdout
        found[join] = [sum(i[count] for i in inputs) for count in ("n_records", "n_documents")]

    assert {True: [2, 2], False: [3, 3]} == found
