"""
Turn README.md into what it says when its commands are run now.

`python -m tests.journeys.readme` rewrites the output below every `$ curate …` and `$ make demo`
line of its text blocks; the test beside it fails when that would change anything.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.journeys import walk

BLOCK = re.compile(r"```text\n(\$ .*?)```", re.DOTALL)


def refreshed(text: str, folder: Path) -> str:
    """README text with the output of every command replaced by what it prints in `folder`."""
    return BLOCK.sub(lambda block: f"```text\n{_run_all(block[1], folder)}```", text)


def _run_all(block: str, folder: Path) -> str:
    commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    return "\n".join(f"$ {command}\n{_run(command, folder)}" for command in commands)


def _run(command: str, folder: Path) -> str:
    program, *arguments = command.split()
    if program == "make":  # what `make demo` prints at its end, without make
        script = [sys.executable, str(walk.ROOT / "samples/demo.py")]
        paths = sorted(str(p.relative_to(folder)) for p in folder.glob("mixes/*/*/manifest.json"))
        done = subprocess.run([*script, *paths], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    assert program == "curate"
    return walk.curate(*arguments, cwd=folder).stdout


def build(folder: Path) -> Path:
    """A folder in which the README's commands work: the demo, built."""
    walk.demo_folder(folder)
    walk.curate("build", "recipes/demo.toml", cwd=folder)
    return folder


if __name__ == "__main__":
    readme = walk.ROOT / "README.md"
    with tempfile.TemporaryDirectory() as temporary:
        readme.write_text(refreshed(readme.read_text(), build(Path(temporary) / "demo")))
