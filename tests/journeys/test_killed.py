"""A build may be killed at any moment: run again, it gives the same bytes and leaves no strays."""

import gzip
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import wait
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
import zstandard

from curate import files
from tests.journeys import walk

RECIPE = """
name = "tiny"
version = "1.0.0"
[tokenizer]
file = "builtin:demo"
eos = "<|endoftext|>"
[source.c4]
reader = "c4"
files = ["c4.json.gz"]
license = "CC0-1.0"
[source.pol]
reader = "4chan"
files = ["pol.ndjson.zst"]
document = "post"
license = "CC0-1.0"
[component.clean]
source = "c4"
tokens = 300
[component.toxic]
source = "pol"
tokens = 30
[mix]
shard_tokens = 200
"""

MORE = """
[tagger.toxicity]
model = "builtin:toxicity"
[holdout]
tokens = 20
[sweep]
seed = [7, 8]
"""

PRELOADED = [
    "curate.mixing", "curate.readers.fourchan.raiders", "curate.readers.web", "curate.run.write",
    "curate.shards", "curate.tokens.encode", "datatrove.executor.local", "fastokens", "polars",
    "tokenizers", __name__,
]  # fmt: skip
"""What the fork server imports once, so that a build killed 200 times starts 200 times quickly."""


ONE_ASKS = Lock()


def tiny(folder: Path, recipe: str = RECIPE) -> Path:
    """A folder with a recipe over twenty web pages and twenty posts in five threads."""
    folder.mkdir(parents=True)
    pages = [
        {
            "text": f"Page {n} tells how to bake loaf number {n}. Let it rest for {n + 3} hours.",
            "timestamp": "2019-04-21T18:54:04Z",
            "url": f"https://bread.example/{n}",
        }
        for n in range(20)
    ]
    threads = [
        {
            "posts": [
                {
                    "no": number,
                    "resto": 0 if number == first else first,
                    "time": 1500000000 + number,
                    "com": f"Loaf {number}<br>is flat, you walnut.",
                }
                for number in range(first, first + 4)
            ]
        }
        for first in range(100, 120, 4)
    ]
    lines = b"".join(json.dumps(page).encode() + b"\n" for page in pages)
    (folder / "c4.json.gz").write_bytes(gzip.compress(lines, mtime=0))
    dump = b"".join(json.dumps(thread).encode() + b"\n" for thread in threads)
    (folder / "pol.ndjson.zst").write_bytes(zstandard.compress(dump))
    (folder / "tiny.toml").write_text(recipe)
    return folder


def build_until(folder: Path, last: int, count: Path) -> None:
    """Build in this process, killed before disk operation `last`; writes how many it saw."""
    from curate.run.build import build
    from curate.run.order import Order
    from curate.store import Store

    os.chdir(folder)
    seen = 0

    def tick(operation: str, path: Path) -> None:
        nonlocal seen
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    files.on_operation = tick
    build(Order(Path("tiny.toml"), Store(Path("store"))))
    count.write_text(str(seen))


def run(folder: Path, last: int, count: Path) -> int | None:
    """Exit code of a build that is killed before operation `last` (never, if -1)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=build_until, args=(folder, last, count))
    # Starting a process asks all others whether they have ended; of two who ask, one is lied to.
    with ONE_ASKS:
        process.start()
    wait([process.sentinel], 120)
    with ONE_ASKS:
        process.join(0)
        return process.exitcode


def assert_whole(folder: Path, expected: dict[str, bytes]) -> None:
    assert expected == walk.every_file(folder / "mixes")
    assert [] == list(folder.rglob(files.TEMPORARY_PREFIX + "*"))


def assert_nothing_half(folder: Path, expected: dict[str, bytes]) -> None:
    """Every mix that is in its place is there to the last byte."""
    for manifest in folder.glob("mixes/*/[0-9]*/manifest.json"):
        prefix = str(manifest.parent.relative_to(folder / "mixes")) + "/"
        assert {
            name.removeprefix(prefix): data
            for name, data in expected.items()
            if name.startswith(prefix)
        } == walk.every_file(manifest.parent)


@pytest.mark.timeout(1500)
def test_killed_at_every_write(tmp_path: Path) -> None:
    """
    SIGKILL before each disk operation of a build: every mix there is whole, and a second run ends
    with the bytes of an uninterrupted one and no stray file.
    """
    whole = tiny(tmp_path / "whole")
    assert 0 == run(whole, -1, tmp_path / "count")
    expected = walk.every_file(whole / "mixes")
    n_operations = int((tmp_path / "count").read_text())
    assert n_operations > 100

    def kill_and_go_on(last: int) -> None:
        folder = tiny(tmp_path / str(last))
        assert -signal.SIGKILL == run(folder, last, tmp_path / "killed")
        assert_nothing_half(folder, expected)
        assert 0 == run(folder, -1, tmp_path / f"count-{last}")
        assert_whole(folder, expected)
        shutil.rmtree(folder)

    with ThreadPoolExecutor(2) as pool:
        assert n_operations == len(list(pool.map(kill_and_go_on, range(n_operations))))


@pytest.mark.timeout(1500)
def test_killed_at_random_moments(tmp_path: Path, scale: int) -> None:
    """SIGKILL to the whole process group of a two-worker build, 30 times before it had finished."""
    folder = tiny(tmp_path / "work", RECIPE + MORE)
    command = [sys.executable, "-m", "curate", "build", "tiny.toml", "--workers", "2"]
    began = time.monotonic()
    walk.curate(*command[3:], cwd=folder)
    whole = time.monotonic() - began
    expected = walk.every_file(folder / "mixes")
    moments, n_killed, code = random.Random(1), 0, 0
    while n_killed < 30 * scale:
        if code == 0:  # it had finished: begin anew, and go on with that until it has as well
            assert_whole(folder, expected)
            shutil.rmtree(folder)
            tiny(folder, RECIPE + MORE)
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        time.sleep(moments.uniform(0.1, 1.0) * whole)
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        n_killed += code == -signal.SIGKILL
        assert_nothing_half(folder, expected)
    walk.curate(*command[3:], cwd=folder)
    assert_whole(folder, expected)


@pytest.mark.parametrize(
    ("sent", "code", "says"),
    [(signal.SIGINT, 130, "run the same line again"), (signal.SIGTERM, 143, "")],
)
def test_a_signal_is_an_exit_code(
    tmp_path: Path, sent: signal.Signals, code: int, says: str
) -> None:
    """SIGINT ends a build with 130 and a line that says how to go on, SIGTERM with 143."""
    folder = walk.demo_folder(tmp_path / "demo")
    process = building(folder)
    wait_for((folder / "store/documents").exists)
    process.send_signal(sent)
    _, said = process.communicate(timeout=30)

    assert code == process.returncode
    assert says in said


def test_a_killed_worker_ends_the_build_with_its_name(tmp_path: Path) -> None:
    """A worker killed by the system ends the build within 5 s, saying what it was on."""
    folder = walk.demo_folder(tmp_path / "demo")
    process = building(folder)
    workers = wait_for(lambda: grandchildren(process.pid))
    os.kill(workers[0], signal.SIGKILL)
    killed = time.monotonic()
    _, said = process.communicate(timeout=30)

    assert (1, True) == (process.returncode, time.monotonic() - killed < 5)
    assert "the worker on read " in said
    assert "was killed by SIGKILL" in said
    walk.curate("build", "recipes/demo.toml", cwd=folder)


def building(folder: Path) -> "subprocess.Popen[str]":
    """A build of the demo by two workers, under way."""
    return subprocess.Popen(
        [sys.executable, "-m", "curate", "build", "recipes/demo.toml", "--workers", "2"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(condition: Callable[[], Any]) -> Any:
    """What `condition` gives as soon as it is true, or after a minute."""
    deadline = time.monotonic() + 60
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def grandchildren(pid: int) -> list[int]:
    """Processes whose parent's parent is `pid`: the workers, below the fork server."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(fields[1])
    return [p for p, parent in parents.items() if parents.get(parent) == pid]
