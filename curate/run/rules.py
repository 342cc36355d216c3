"""
Turn a recipe into the Make rules that build its mixes.

The targets are the manifests, the last file of each mix; they depend on the recipe, its lock and
its local inputs. One build makes all of them, so they are one group (`&:`, GNU Make 4.3).
"""

from pathlib import Path

from curate import lock, recipe
from curate.run.order import mix_names


def make_rules(path: Path, out: Path) -> str:
    """
    Rules for one recipe: variable `MIXES` (manifests) and how to make them.

    Touching the targets afterwards keeps `make -q` quiet when a build found nothing to change.
    """
    loaded = recipe.load(path)
    mixes = [out / name / loaded.version / "manifest.json" for name in mix_names(loaded).values()]
    inputs = [
        name for source in loaded.sources.values() for name in _local(source.name, source.files)
    ]
    locked = [str(lock.path_of(path))] if lock.path_of(path).exists() else []
    needs = " ".join(_escape(str(p)) for p in [path, *locked, *inputs])
    targets = " ".join(_escape(str(p)) for p in mixes)
    return "\n".join(
        [
            f"MIXES := {targets}",
            f"$(MIXES) &: {needs}",
            f"\t$(CURATE) build {path} --store $(STORE) --out {out} $(BUILD_FLAGS)",
            "\t@touch $(MIXES)",
        ]
    )


def _local(source: str, patterns: tuple[str, ...]) -> list[str]:
    return lock.expand(source, [p for p in patterns if not lock.is_url(p)])


def _escape(name: str) -> str:
    return name.replace("$", "$$").replace(" ", "\\ ").replace("#", "\\#").replace("%", "\\%")
