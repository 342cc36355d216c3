"""A take-down may be stopped before any write: run again, it ends with the same bytes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from curate import files
from curate.audit.opened import open_mix
from curate.audit.verify import verify
from curate.errors import IntegrityError
from curate.run.remove import Request, remove, siblings
from tests.tiny_mix import some_documents, write


class Stopped(BaseException):
    """Stands for a kill."""


@pytest.fixture
def arms(tmp_path: Path) -> Iterator[Path]:
    """Two mixes of one recipe; the hook is taken away afterwards."""
    for arm, toxic in (("tiny-a", 60), ("tiny-b", 100)):
        write(
            tmp_path / "mixes" / arm / "1.0.0",
            name=arm,
            recipe="tiny",
            documents=some_documents(),
            budgets={"clean": 300, "toxic": toxic},
            shard_tokens=150,
        )
    yield tmp_path / "mixes"
    files.on_operation = None


def take_down(mixes: Path) -> None:
    """Close up one clean and one toxic document in both."""
    first = open_mix(mixes / "tiny-a" / "1.0.0")
    ids = first.spans().collect()["id"].to_list()
    remove(
        siblings(first),
        Request([ids[1], ids[2]], "test", close=True),
        job=None,
        recipe=mixes.parent / "tiny.toml",
        secret=mixes.parent / "removals.key",
        record=mixes.parent / "manifests",
    )


def bytes_below(folder: Path) -> dict[str, bytes]:
    """Relative name → bytes of every file."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_stopped_anywhere_and_run_again_it_is_the_same(arms: Path, scale: int) -> None:
    """Before any change to the disk (twelve of them by default), then to the end."""
    seen: list[str] = []
    files.on_operation = lambda operation, path: seen.append(operation)
    (arms.parent / "removals.key").write_text("0" * 64 + "\n")
    take_down(arms)
    done = bytes_below(arms.parent)
    n_operations = len(seen)
    assert n_operations > 60
    for stop in range(0, n_operations, max(1, n_operations // (12 * scale))):
        _undo(arms)
        left = stop

        def tick(operation: str, path: Path) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Stopped

        files.on_operation = tick
        with pytest.raises(Stopped):
            take_down(arms)
        files.on_operation = None
        take_down(arms)

        assert done == bytes_below(arms.parent), f"stopped before change {stop}"
    for arm in ("tiny-a", "tiny-b"):
        assert () == verify(arms / arm / "1.0.1", read_data=True, semantic=True).findings


def _undo(arms: Path) -> None:
    for path in [*arms.glob("*/*1.0.1*"), *arms.glob("*/*.superseded.json")]:
        files.remove(path)
    files.remove(arms.parent / "manifests")
    files.remove(arms.parent / "tiny.removals")


def test_a_version_made_for_another_wish_is_not_touched(arms: Path) -> None:
    """1.0.1 exists with other documents gone: the answer is an error."""
    take_down(arms)
    first = open_mix(arms / "tiny-a" / "1.0.0")
    with pytest.raises(IntegrityError, match="exists already"):
        remove(
            siblings(first),
            Request([first.spans().collect()["id"][5]], "other", close=True),
            job=None,
            recipe=None,
            secret=arms.parent / "removals.key",
        )
