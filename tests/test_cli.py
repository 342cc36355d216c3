"""The command line: every command helps, errors are sentences, exit codes are as documented."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curate.cli import COMMANDS

HEAVY = ("polars", "numpy", "datatrove", "torch", "fasttext", "tokenizers", "huggingface_hub")


def curate(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "curate", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_helps(command: str) -> None:
    """`curate <command> --help` exits 0 and starts with what the command does."""
    done = curate(command, "--help")

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith(f"Usage: curate {command}")


def test_help_is_light() -> None:
    """`curate --help` and every command's help import nothing heavy."""
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from curate.cli import COMMANDS, group\n"
        "for name in COMMANDS:\n"
        "    CliRunner().invoke(group, [name, '--help'])\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "[]\n" == done.stdout


def test_unknown_command_names_the_nearest() -> None:
    """A misspelt command is exit 2 and names the one meant."""
    done = curate("biuld")

    assert 2 == done.returncode
    assert "Did you mean 'build'?" in done.stderr


def test_errors_are_json_where_asked(tmp_path: Path) -> None:
    """With --json an error is one JSON object on stdout with code and hint."""
    (tmp_path / "a.toml").write_text("nmae = 'a'\n")
    done = curate("plan", "a.toml", "--json", cwd=tmp_path)
    error = json.loads(done.stdout)["error"]

    assert (2, 2) == (done.returncode, error["exit_code"])
    assert {"code", "exit_code", "message", "details", "hint", "retryable"} == set(error)


def test_a_closed_pipe_is_quiet() -> None:
    """`curate … | head -0` ends without a traceback."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "curate", "doctor", "--json"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)

    assert "Traceback" not in done.stderr


def test_a_busy_store_is_exit_7(tmp_path: Path, root: Path) -> None:
    """With --no-wait a store that somebody holds is not waited for."""
    from curate.store import Store

    began = time.monotonic()
    with Store(tmp_path / "store").locked():
        done = curate(
            "build", "recipes/demo.toml", "--store", str(tmp_path / "store"), "--no-wait", cwd=root
        )

    assert (7, True) == (done.returncode, time.monotonic() - began < 30)
    assert "in use by another curate" in done.stderr


def test_terminal_escapes_do_not_pass() -> None:
    """Control and bidirectional characters in names never reach the terminal."""
    from curate.cli.console import clean

    assert "error: [31mred]0;title" == clean("error: \x1b[31mred\u202e\x1b]0;title\x07\x9b")


def test_a_plan_without_pools_asks_no_network(tmp_path: Path) -> None:
    """A recipe whose dumps and tokenizer are on the Hub, nothing read yet: exit 5, no request."""
    recipe = Path(__file__).parent.parent / "recipes" / "c4-4chan.toml"
    done = curate("plan", str(recipe), "--store", str(tmp_path / "store"), cwd=tmp_path)

    assert 5 == done.returncode
    assert "c4 has not been read" in done.stderr
    assert "--until tokenize" in done.stderr
    assert [] == sorted(tmp_path.iterdir())
