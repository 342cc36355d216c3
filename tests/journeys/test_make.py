"""Make: targets are real files, parallel builds are safe, nothing is done twice."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys import walk

VENV = Path(sys.prefix)

pytestmark = pytest.mark.skipif(
    not (VENV / "bin" / "curate").exists() or shutil.which("make") is None,
    reason="needs make, and an environment with `curate` in it",
)


def make(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run make in a folder with this test's environment taken as set up."""
    return subprocess.run(
        ["make", f"VENV={VENV}", "-o", f"{VENV}/.core", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone's files in which `make -j4 mix` has run."""
    folder = walk.demo_folder(tmp_path_factory.mktemp("made"))
    shutil.copyfile(walk.ROOT / "Makefile", folder / "Makefile")
    done = make("-j4", "mix", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_targets_are_the_manifests(made: Path) -> None:
    """After `make -j4 mix` there are six manifests, the records beside them the same bytes."""
    records = {
        path.parent.name: path.read_bytes() for path in sorted(made.glob("manifests/*/1.0.0.json"))
    }

    assert 6 == len(records)
    assert records == walk.manifests(made)


def test_up_to_date_is_0(made: Path) -> None:
    """`make -q mix` and `make -q demo` are 0 when nothing is left to do."""
    assert 0 == make("-q", "mix", cwd=made).returncode
    assert 0 == make("-q", "demo", cwd=made).returncode


def test_a_touched_recipe_is_built_and_quiet_again(made: Path) -> None:
    """A newer recipe makes `make -q` 1; building it finds nothing to change and makes it 0."""
    (made / "recipes/demo.toml").touch()
    assert 1 == make("-q", "mix", cwd=made).returncode
    before = walk.manifests(made)
    assert 0 == make("mix", cwd=made).returncode

    assert before == walk.manifests(made)
    assert 0 == make("-q", "mix", cwd=made).returncode


def test_clean_keeps_what_cannot_be_made_again(made: Path) -> None:
    """`make clean` touches no samples, store or mixes."""
    commands = make("-n", "clean", cwd=made).stdout
    deleted = commands.split()

    assert {"store", "mixes", "samples", "dumps", "manifests"}.isdisjoint(deleted)


def test_help_lists_every_target() -> None:
    """`make help` has a line for each target a user may type."""
    listed = {line.split()[1] for line in make("help", cwd=walk.ROOT).stdout.splitlines() if line}

    assert {
        "setup", "test", "check", "demo", "mix", "plan", "verify", "docs", "clean", "help", "bench",
    } <= listed  # fmt: skip
