"""Commands answer people and programs, and never show text."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.cli import group
from curate.errors import CurateError
from tests.audit.conftest import DOCUMENTS
from tests.tiny_mix import write


@pytest.mark.parametrize(
    "line",
    [
        ["verify", "--all"],
        ["inspect"],
        ["trace", "--token", "77"],
        ["find", "--thread", "pol/100"],
        ["prove", "--id", "4chan:pol/100"],
        ["prove", "--absent", "4chan:pol/999"],
        ["query", "SELECT COUNT(*) AS n FROM spans"],
    ],
)
def test_commands_answer_people_and_programs_without_a_word_of_text(
    folder: Path, line: list[str]
) -> None:
    """Text and --json both exit 0; neither shows what a document says."""
    from click.testing import CliRunner

    words = [line[0], str(folder), *line[1:]]
    said = CliRunner().invoke(group, words)
    told = CliRunner().invoke(group, [*words, "--json"])

    assert (0, 0) == (said.exit_code, told.exit_code), said.output
    json.loads(told.stdout)
    for output in (said.stdout, told.stdout):
        assert not any(d.text in output for d in DOCUMENTS)


def test_diff_exits_3_only_when_asked(folder: Path, tmp_path: Path) -> None:
    """As git does."""
    from click.testing import CliRunner

    other = write(tmp_path / "t" / "1", documents=DOCUMENTS)
    run = CliRunner().invoke

    assert 0 == run(group, ["diff", str(folder), str(other)]).exit_code
    assert 3 == run(group, ["diff", str(folder), str(other), "--exit-code"]).exit_code
    assert 0 == run(group, ["diff", str(folder), str(folder), "--exit-code"]).exit_code


def test_damaged_spans_are_an_answer_not_a_crash(make: Callable[..., Path], scale: int) -> None:
    """Whatever byte of spans.parquet is changed, questions are answered or refused (exit 3)."""
    folder = make()
    path = folder / "spans.parquet"
    whole = path.read_bytes()
    draw = random.Random(3)
    lines = [
        ["inspect", str(folder)],
        ["trace", str(folder), "--token", "77"],
        ["find", str(folder), "--thread", "pol/100"],
        ["prove", str(folder), "--id", "4chan:pol/100"],
        ["query", str(folder), "SELECT COUNT(*) FROM spans"],
        ["diff", str(folder), str(folder)],
    ]
    for number in range(120 * scale):
        at = draw.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([draw.randrange(256)]) + whole[at + 1 :])
        try:
            group.main(lines[number % len(lines)], standalone_mode=False)
        except CurateError as error:
            assert error.exit_code in (2, 3)
