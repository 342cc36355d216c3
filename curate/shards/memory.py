"""
Turn what the system says of its memory into how many bytes of files it can keep at hand.

    available() // 2 ≥ bytes of the pool   the pool is read where it lies, in any order
    otherwise                              it is read once, in order

Only speed depends on it. What is not known counts as none; and a system that does not ask what will
be read, and what will not (macOS), is not told.
"""

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")

LIMITS = {"": (GROUPS, "memory.max"), "memory": (GROUPS / "memory", "memory.limit_in_bytes")}
"""Controller in /proc/self/cgroup → its tree and the file of a limit: versions 2 and 1."""


def available() -> int:
    """Bytes of memory that this process and its files may still take (Linux; elsewhere 0)."""
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        groups = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return 0
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return min([*free, *_limits(groups)]) if free else 0


def read_ahead(path: Path) -> None:
    """Have the system bring a file to memory, in order, while we go on."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def let_go(descriptor: int) -> None:
    """Have the system write a file out while we go on, and keep nothing of what is written out."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _limits(groups: list[str]) -> Iterator[int]:
    """The limits of the control groups this process is in, and of those around them."""
    for group in groups:
        _, controller, name = group.split(":", 2)
        if controller not in LIMITS:
            continue
        root, file = LIMITS[controller]
        place = root / name.strip("/")
        for folder in [place, *place.parents]:
            limit = folder / file
            if limit.is_file() and (text := limit.read_text().strip()) != "max":
                yield int(text)
