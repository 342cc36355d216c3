"""Turn a copy of the checkout's recipes and samples into built mixes, by the command line alone."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


def curate(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    expect: int = 0,
    timeout: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Run `curate` in a folder; anything but the expected exit code fails with what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "curate", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == expect, (
        f"curate {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done


def demo_folder(folder: Path) -> Path:
    """A folder with the demo's recipe, lock and dumps, as in a clone."""
    (folder / "samples").mkdir(parents=True)
    (folder / "recipes").mkdir()
    for name in ("c4.json.gz", "4chan.ndjson.zst"):
        shutil.copyfile(ROOT / "samples" / name, folder / "samples" / name)
    for name in ("demo.toml", "demo.lock"):
        shutil.copyfile(ROOT / "recipes" / name, folder / "recipes" / name)
    return folder


def manifests(folder: Path) -> dict[str, bytes]:
    """Mix name → bytes of its manifest, for every mix in `folder/mixes`."""
    found = sorted((folder / "mixes").glob("*/*/manifest.json"))
    return {path.parent.parent.name: path.read_bytes() for path in found}


def contents(folder: Path) -> dict[str, str]:
    """Mix name → content_id."""
    return {name: json.loads(data)["content_id"] for name, data in manifests(folder).items()}


def shards(folder: Path) -> dict[str, list[str]]:
    """Mix name → names of its shard files."""
    return {
        path.parent.name: sorted(p.name for p in (path / "shards").iterdir())
        for path in (folder / "mixes").glob("*/*")
    }


def component(manifest: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One component of a manifest's content."""
    found: dict[str, Any] = next(c for c in manifest["content"]["components"] if c["name"] == name)
    return found


def every_file(folder: Path) -> dict[str, bytes]:
    """Relative name → bytes of every file below a folder, links followed."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
