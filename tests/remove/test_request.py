"""Requests are refused before a byte is written, or done."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from curate.audit.opened import open_mix
from curate.errors import IntegrityError, UsageError
from curate.run.remove import next_version
from tests import recount
from tests.remove.world import World, picked, whole
from tests.tiny_files import seal


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


def test_mixes_of_two_recipes_are_patched_apart(world: Callable[..., World]) -> None:
    """Nobody's documents are forgotten because another mix was named first."""
    w = world()
    other = w.out / "other-20pct" / "1.0.0"
    shutil.copytree(w.out / "tiny-20pct" / "1.0.0", other)
    facts = json.loads((other / "manifest.json").read_bytes())
    text = facts["origin"]["recipe"]["text"] + "\n"
    facts["origin"]["recipe"].update(text=text, sha256=recount._sha(text.encode()))
    seal(other, facts)
    with pytest.raises(UsageError, match="not of one recipe"):
        w.remove(["a"], mixes=[w.mix(), open_mix(other)], close=True)


def test_versions_count_up() -> None:
    """The last number, whatever comes before it."""
    assert ["1.0.1", "1.0.10", "3", "1.0-rc.2"] == [
        next_version(v) for v in ("1.0.0", "1.0.9", "2", "1.0-rc.1")
    ]
    with pytest.raises(UsageError):
        next_version("1.0-beta")
