"""The generated pages are what the code says now."""

import subprocess
import sys
from pathlib import Path

from curate.cli import COMMANDS


def test_generated_pages_are_fresh(root: Path) -> None:
    """docs/cli.md and the schemas are what `make docs` would write."""
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=root, capture_output=True, text=True
    )

    assert (0, "") == (done.returncode, done.stdout)


def test_every_command_is_documented(root: Path) -> None:
    """docs/cli.md has a section for each command."""
    headings = [
        line.removeprefix("## curate ")
        for line in (root / "docs/cli.md").read_text().splitlines()
        if line.startswith("## curate ")
    ]

    assert list(COMMANDS) == headings


def test_lock_files_name_no_index(root: Path) -> None:
    """The locked versions have hashes and no address of any index."""
    for path in root.glob("requirements*.lock"):
        lines = path.read_text().splitlines()
        assert not [line for line in lines if "://" in line or line.startswith("--i")]
    pinned = [
        block
        for block in (root / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
        if block and not block.startswith("#")
    ]
    assert pinned
    assert [] == [block for block in pinned if "--hash=sha256:" not in block]
