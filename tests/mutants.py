"""
Turn the verifying code into broken copies of itself, and count how many the tests notice.

    python tests/mutants.py                 every check disabled once, and 80 other mutants
    python tests/mutants.py --others 400 --seed 2

A check that nobody ever broke on purpose is unproven. Each mutant is one change in a copy of the
tree: a finding that is not reported, a comparison, a sum, a constant, a condition turned around.
It is killed if the focused tests fail. Runs by hand: a mutant takes some seconds.
"""

import argparse
import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AUDIT = (
    "arithmetic", "counts", "decode", "digests", "dropped", "laws", "left_out", "merkle", "opened",
    "patched", "rank", "recount", "schedule", "sidecars", "structure", "sums", "texts", "tiling",
    "verify", "where",
)  # fmt: skip
FILES = [
    *(f"curate/audit/{name}.py" for name in AUDIT),
    "curate/manifest.py",
    "curate/manifest_schema.py",
]
FIRST = {
    "counts": "rows", "decode": "texts", "dropped": "dropped", "laws": "laws_alone",
    "left_out": "find", "merkle": "prove", "opened": "recount", "patched": "places", "rank": "laws",
    "recount": "recount", "schedule": "laws", "sidecars": "sidecars", "texts": "texts",
    "tiling": "tiling", "where": "where", "structure": "structure", "sums": "structure",
    "digests": "verify", "verify": "verify",
}  # fmt: skip
"""The tests that are about a module, asked first; of the others, those about lies."""
AFTERWARDS = (
    "lies", "rows", "recount", "structure", "laws_alone", "verify", "laws", "dropped", "find",
    "prove", "commands",
)  # fmt: skip
PATCHED = ("arithmetic", "counts", "laws", "patched", "recount", "opened")
"""Modules that take-downs have a part in: their laws are slow, and asked last."""


def tests_of(file: str) -> list[str]:
    """Test files in the order in which they are likely to notice."""
    name = Path(file).stem
    if name.startswith("manifest"):
        manifests = ["tests/test_manifest_words.py", "tests/test_manifest.py"]
        return [*manifests, "tests/audit/test_verify.py", "tests/audit/test_lies.py"]
    first = FIRST.get(name, "lies")
    names = [first, *(other for other in AFTERWARDS if other != first)]
    tests = [f"tests/audit/test_{name}.py" for name in names]
    return tests + ["tests/test_manifest.py"] + ["tests/remove/test_laws.py"] * (name in PATCHED)


SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: the file, the line, what was done, and the file's new text."""

    file: str
    line: int
    what: str
    text: str


def silenced(file: str) -> Iterator[Mutant]:
    """Every place that reports something, not reporting it."""
    source = (ROOT / file).read_text()
    for node in ast.walk(ast.parse(source)):
        call = _reported(node)
        if call is not None:
            yield _replaced(file, source, node, "pass", f"silenced: {ast.unparse(call)[:60]}")


def _reported(node: ast.AST) -> ast.AST | None:
    """The Finding or error that a statement yields, appends or raises."""
    if isinstance(node, ast.Raise) and node.exc is not None:
        return node.exc
    if not isinstance(node, ast.Expr):
        return None
    value = node.value
    if isinstance(value, ast.Yield | ast.YieldFrom):
        return value.value
    called = isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute)
    return value if called and "append(Finding(" in ast.unparse(value) else None


def changed(file: str) -> Iterator[Mutant]:
    """Every operator exchanged, number raised by one, condition turned around."""
    source = (ROOT / file).read_text()
    tree = ast.parse(source)
    skipped = {id(n) for top in ast.walk(tree) if _is_declaration(top) for n in ast.walk(top)}
    for node in ast.walk(tree):
        if id(node) in skipped or not hasattr(node, "lineno"):
            continue
        before = ast.unparse(node)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
            new: ast.AST = ast.Compare(node.left, [_swap(node.ops[0])], node.comparators)
        elif isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
            new = ast.BinOp(node.left, _swap(node.op), node.right)
        elif isinstance(node, ast.BoolOp):
            new = ast.BoolOp(_swap(node.op), node.values)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
            new = node.operand
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            new = ast.Constant(node.value + 1)
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            new = ast.Constant(not node.value)
        else:
            continue
        after = ast.unparse(new)
        yield _replaced(file, source, node, f"({after})", f"{before[:40]} → {after[:40]}")


def _swap(operator: ast.AST) -> ast.AST:
    return SWAPS[type(operator)]()


def _is_declaration(node: ast.AST) -> bool:
    """Annotations, docstrings and imports for types: nothing runs there."""
    return isinstance(node, ast.AnnAssign | ast.Import | ast.ImportFrom | ast.arg) or (
        isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    )


def _replaced(file: str, source: str, node: ast.AST, new: str, what: str) -> Mutant:
    lines = source.encode().split(b"\n")
    first, last = node.lineno - 1, node.end_lineno - 1  # type: ignore[attr-defined]
    begin, end = node.col_offset, node.end_col_offset  # type: ignore[attr-defined]
    joined = lines[first][:begin] + new.encode() + lines[last][end:]
    text = b"\n".join([*lines[:first], joined, *lines[last + 1 :]]).decode()
    return Mutant(file, first + 1, what, text)


def drawn(mutants: list[Mutant], n: int, seed: int) -> list[Mutant]:
    """n of them, by a hash of what they change: other code elsewhere draws no others."""
    seen: Counter[str] = Counter()
    places = []
    for mutant in mutants:
        name = f"{seed} {mutant.file} {mutant.what}"
        seen[name] += 1
        places.append(hashlib.sha256(f"{name} {seen[name]}".encode()).digest())
    order = sorted(range(len(mutants)), key=places.__getitem__)
    return [mutants[number] for number in order[:n]]


def survives(mutant: Mutant, tree: Path) -> bool:
    """Whether all focused tests pass with the mutant in place."""
    path = tree / mutant.file
    original = path.read_text()
    path.write_text(mutant.text)
    # Set against what a mutant might do to the machine: time and memory are bounded.
    line = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=120", "-p", "no:cacheprovider"]
    env = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*line, mutant.file, *tests_of(mutant.file)],
            cwd=tree,
            env=env,
            capture_output=True,
            timeout=900,
        )
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        path.write_text(original)


def main() -> None:
    """Run the mutants and print the survivors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[1])
    parser.add_argument("--others", type=int, default=80, help="mutants that silence nothing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="files whose name holds this")
    options = parser.parse_args()
    files = [file for file in FILES if options.only in file]
    mutants = [mutant for file in files for mutant in silenced(file)]
    others = [mutant for file in files for mutant in changed(file)]
    mutants += drawn(others, options.others, options.seed)
    alive = []
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        ignored = shutil.ignore_patterns(
            ".git", ".venv", "mixes", "store", "__pycache__", ".*_cache"
        )
        shutil.copytree(ROOT, tree, ignore=ignored)
        for number, mutant in enumerate(mutants, 1):
            if survives(mutant, tree):
                alive.append(mutant)
                print(f"alive: {mutant.file}:{mutant.line}: {mutant.what}", flush=True)
            if number % 20 == 0:
                print(f"{number} of {len(mutants)}, {len(alive)} alive", flush=True)
    killed = len(mutants) - len(alive)
    print(f"{killed} of {len(mutants)} mutants killed ({100 * killed / len(mutants):.1f} %)")


if __name__ == "__main__":
    main()
