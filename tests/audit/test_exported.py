"""An export that is stale, shifted or damaged is found by `curate verify MIX --export DIR`."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from curate.audit.verify import verify
from curate.cli import verify as command
from curate.errors import UsageError
from curate.mix import Mix
from curate.shards import exports
from tests import tiny_mix

ARRAYS = ("mask:toxicity<0.05", "bucket:toxicity:0.05,0.52", "score:toxicity")


def write(folder: Path, n_clean: int = 12, bos: bool = False) -> Mix:
    documents = tiny_mix.some_documents(n_clean)
    return Mix.open(
        tiny_mix.write(folder, name="tiny", documents=documents, shard_tokens=300, bos=bos)
    )


@pytest.fixture
def mix(tmp_path: Path) -> Mix:
    """Twenty documents with scores, in several shards."""
    return write(tmp_path / "mix" / "1.0.0")


@pytest.fixture
def sides(mix: Mix, tmp_path: Path) -> Path:
    """A mask, buckets and scores of that mix."""
    exports.export(mix, "sides", tmp_path / "sides", side=ARRAYS)
    return tmp_path / "sides"


def findings(mix: Mix, folder: Path) -> list[tuple[str, str, str]]:
    """(file, where, what) of each finding about an export."""
    found = verify(mix.folder, exports=[folder]).findings
    assert {"export"} >= {finding.kind for finding in found}
    return [(Path(f.file).name, f.where, f.what) for f in found]


def lie(folder: Path) -> None:
    """Make the digests of the record fit the files as they are."""
    path = folder / "curate-export.json"
    record = json.loads(path.read_bytes())
    for file in record["files"]:
        file["sha256"] = hashlib.sha256((folder / file["name"]).read_bytes()).hexdigest()
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("bos", [False, True])
def test_side_arrays_as_they_were_made_are_no_findings(tmp_path: Path, bos: bool) -> None:
    """With and without BOS, whose value is 0."""
    mix = write(tmp_path / "mix" / "1.0.0", bos=bos)
    exports.export(mix, "sides", tmp_path / "sides", side=ARRAYS)
    report = verify(mix.folder, exports=[tmp_path / "sides"])

    assert () == report.findings
    assert f"export {tmp_path / 'sides'}: every value derived again from the spans" in (
        report.checked
    )


@pytest.mark.parametrize("kind", ["mask", "bucket", "score"])
def test_a_shifted_array_is_found(mix: Mix, sides: Path, kind: str) -> None:
    """By its digest; and where that was made to fit, by the first token whose value is another."""
    values: Any = None
    for shard in mix.shards:  # the first shard in which not all values are alike
        path = sides / f"{shard['name']}.{kind}"
        values = np.fromfile(path, {"score": "<f2"}.get(kind, "u1"))
        shifted = np.roll(values, 1)
        if (shifted != values).any():
            break
    path.write_bytes(shifted.tobytes())
    first = int(np.flatnonzero(shifted != values)[0])
    wrong = (path.name, f"token {first:,}", f"is {shifted[first]}, the spans give {values[first]}")

    assert [path.name] * 2 == [name for name, _, _ in findings(mix, sides)]
    lie(sides)
    assert [wrong] == findings(mix, sides)


def test_a_mask_of_another_mix_is_found(mix: Mix, tmp_path: Path) -> None:
    """A new build of the recipe leaves the masks of the old one stale."""
    older = write(tmp_path / "older" / "0.9.0", n_clean=11)
    exports.export(older, "sides", tmp_path / "stale", side=["mask:toxicity<0.05"])
    [(name, _, what)] = findings(mix, tmp_path / "stale")

    assert "curate-export.json" == name
    assert what.endswith("with other content, not of tiny@1.0.0")


def cut(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-1])


def remove(folder: Path, name: str) -> None:
    (folder / name).unlink()


def add(folder: Path, name: str) -> None:
    (folder / f"{name}.txt").write_text("x")


@pytest.mark.parametrize("damage", [cut, remove, add])
@pytest.mark.parametrize("to", ["sides", "litdata"])
def test_damage_of_any_export_is_found(
    mix: Mix, tmp_path: Path, to: str, damage: Callable[[Path, str], None]
) -> None:
    """A file that is shorter, gone, or more than there were."""
    record = exports.export(mix, to, tmp_path / to, side=ARRAYS if to == "sides" else ())
    assert [] == findings(mix, tmp_path / to)
    damage(tmp_path / to, record["files"][0]["name"])

    assert findings(mix, tmp_path / to)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [1]}'])
def test_a_record_that_is_none_is_a_finding(mix: Mix, sides: Path, text: str) -> None:
    """Whatever is wrong inside an export is said, not raised."""
    (sides / "curate-export.json").write_text(text)
    [(name, _, what)] = findings(mix, sides)

    assert "curate-export.json" == name
    assert what.startswith("is no record of an export")


@pytest.mark.parametrize("text", ["mood:toxicity", "score:insult", "mask:toxicity", "score"])
def test_an_unknown_array_is_a_finding(mix: Mix, sides: Path, text: str) -> None:
    """A record that names an array nobody can derive."""
    path = sides / "curate-export.json"
    path.write_text(path.read_text().replace("score:toxicity", text))
    what = f"names the side array {text!r}, which cannot be made of this mix"

    assert [("curate-export.json", "", what)] == findings(mix, sides)


def test_the_command_takes_exports(mix: Mix, sides: Path) -> None:
    """Exit code 3 where one is damaged; an export alone is told what to type."""
    arguments = [str(mix.folder), "--export", str(sides)]
    whole = CliRunner().invoke(command.command, arguments)
    cut(sides, f"{mix.shards[0]['name']}.mask")
    damaged = CliRunner().invoke(command.command, arguments)

    assert (0, 3) == (whole.exit_code, damaged.exit_code)
    with pytest.raises(UsageError, match="is an export, not a mix") as caught:
        verify(sides)
    assert f"curate verify MIX --export {sides}" in caught.value.hint
    with pytest.raises(UsageError, match="is not a folder"):
        verify(mix.folder, exports=[sides / "none"])
