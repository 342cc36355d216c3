"""The same recipe gives the same bytes whoever builds it, wherever, with however many workers."""

import gzip
from pathlib import Path

import pytest

from tests.journeys import walk

PLACES = {
    "one-worker": ("1", {"PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata", "LC_ALL": "C"}),
    "two workers": ("2", {"PYTHONHASHSEED": "2", "TZ": "UTC", "LC_ALL": "C.UTF-8"}),
    "siebenfach-é": ("7", {"PYTHONHASHSEED": "777", "TZ": "America/New_York", "LC_ALL": "POSIX"}),
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the demo has been built."""
    folder = walk.demo_folder(tmp_path_factory.mktemp("reference"))
    walk.curate("build", "recipes/demo.toml", "--workers", "2", cwd=folder)
    return folder


@pytest.mark.parametrize("place", PLACES)
def test_same_manifests(reference: Path, tmp_path: Path, place: str) -> None:
    """Workers, hash seed, time zone, locale and folder do not change a byte of any file."""
    workers, env = PLACES[place]
    folder = walk.demo_folder(tmp_path / place)
    walk.curate("build", "recipes/demo.toml", "--workers", workers, cwd=folder, env=env)

    assert walk.every_file(reference / "mixes") == walk.every_file(folder / "mixes")


def test_same_content_from_other_files(reference: Path, tmp_path: Path) -> None:
    """Inputs renamed, re-split and listed in another order give the same shards and content."""
    folder = walk.demo_folder(tmp_path / "resplit")
    lines = gzip.decompress((folder / "samples/c4.json.gz").read_bytes()).splitlines(keepends=True)
    third = len(lines) // 3
    pieces = {"z": lines[:third], "a": lines[third : 2 * third], "m": lines[2 * third :]}
    for name, piece in pieces.items():
        (folder / f"samples/{name}.json.gz").write_bytes(gzip.compress(b"".join(piece)))
    (folder / "samples/c4.json.gz").unlink()
    (folder / "samples/4chan.ndjson.zst").rename(folder / "samples/board.bin")
    recipe = folder / "recipes/demo.toml"
    text = recipe.read_text()
    text = text.replace(
        '"samples/c4.json.gz"', '"samples/z*.gz", "samples/m.json.gz", "samples/a*"'
    )
    recipe.write_text(text.replace("samples/4chan.ndjson.zst", "samples/board.bin"))
    walk.curate("lock", "recipes/demo.toml", "--force", cwd=folder)
    walk.curate("build", "recipes/demo.toml", cwd=folder)

    assert walk.contents(reference) == walk.contents(folder)
    assert walk.shards(reference) == walk.shards(folder)
