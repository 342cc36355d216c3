"""
Turn this checkout into round trips through the real libraries of the trainers.

    python tests/trainers/run.py            make environments and mixes, then test
    python tests/trainers/run.py -k olmo    arguments go to pytest

Environments and mixes lie below build/trainers. Python 3.11 is wanted: some readers have no later
wheels.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "trainers"
TESTS = [
    ("main", ["test_native.py", "test_exports.py", "test_shift.py"]),
    ("mosaic", ["test_mosaic.py"]),
    ("mosaic", ["test_trl.py"]),
]
"""Environments and what is run in one process of each."""


def environment(name: str) -> Path:
    """The python of environment `name`, made anew when its requirements changed."""
    requirements = HERE / f"requirements-{name}.txt"
    folder, stamp = BUILD / name, BUILD / f"{name}.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    python = folder / "bin" / "python"
    if not python.exists() or not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        first = next(r for r in requirements.read_text().splitlines() if r.startswith("torch=="))
        # Alone, so that nothing that follows can ask for another build of it.
        subprocess.run([*pip, first], check=True)
        subprocess.run([*pip, "-r", str(requirements)], check=True)
        stamp.write_text(wanted)
    return python


def main() -> int:
    """Exit code of the first environment whose tests fail, else 0."""
    if sys.version_info[:2] != (3, 11):
        print("tests/trainers needs Python 3.11", file=sys.stderr)
        return 2
    BUILD.mkdir(parents=True, exist_ok=True)
    pythons = {name: environment(name) for name in dict(TESTS)}
    settings = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TRAINER_MIXES": str(BUILD / "mixes"),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    shutil.rmtree(BUILD / "mixes", ignore_errors=True)
    made = [str(pythons["main"]), str(HERE / "make_mixes.py"), str(BUILD / "mixes")]
    subprocess.run(made, check=True, env=settings)
    codes = []
    for name, files in TESTS:
        line = [
            str(pythons[name]), "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider",
            "-c", str(HERE / "pytest.ini"), "-W", "ignore", *sys.argv[1:],
            *(str(HERE / file) for file in files),
        ]  # fmt: skip
        codes.append(subprocess.run(line, env=settings, cwd=BUILD).returncode)
    # 5: nothing matched the arguments, in this environment
    return next((code for code in codes if code not in (0, 5)), 0)


if __name__ == "__main__":
    sys.exit(main())
