"""What the README shows is what happens."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.journeys import readme


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's commands work."""
    return readme.build(tmp_path_factory.mktemp("readme") / "demo")


def test_the_session_is_real(demo: Path, root: Path) -> None:
    """Every command of the README prints what the README says (python -m tests.journeys.readme)."""
    text = (root / "README.md").read_text()

    assert text == readme.refreshed(text, demo)


def test_the_recipe_is_the_demo(root: Path) -> None:
    """The recipe explained line by line is recipes/demo.toml."""
    block = re.findall(r"```toml\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)[0]

    assert tomllib.loads((root / "recipes/demo.toml").read_text()) == tomllib.loads(block)


def test_its_python_runs(demo: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of the README reads a shard: as many documents as the manifest has spans."""
    monkeypatch.chdir(demo)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL):
        exec(block, names)

    assert names["content"]["shards"][0]["n_spans"] == len(names["ends"])  # type: ignore[index,arg-type]
    assert 1024 == len(names["windows"][0].ids)  # type: ignore[index]


def test_its_links_lead_somewhere(root: Path) -> None:
    """Every relative link of the README and of docs/ is a file."""
    missing = [
        f"{page.name}: {target}"
        for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert [] == missing
