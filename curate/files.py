"""
Turn "write this" into a file that is either wholly there or not there at all.

Every change to a disk made by this package goes through this module: temporary file in the same
folder → write → fsync → rename → fsync of the folder. Each step is announced to `on_operation`
first, so that a test can stop a build before any one of them.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> write_bytes(folder / "a.txt", b"whole")
    >>> with replacing(folder / "b.txt") as temporary:
    ...     _ = temporary.write_bytes(b"also whole")
    >>> sorted(p.name for p in folder.iterdir())
    ['a.txt', 'b.txt']
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from curate.errors import CurateError, DiskError, IntegrityError

TEMPORARY_PREFIX = ".tmp-"
"""Names that start so are leftovers of an interrupted write; `sweep` deletes them."""

_FOOTER = "Invalid thrift: transport error"

on_operation: Callable[[str, Path], None] | None = None
"""Called with (operation, path) before every change to the disk; only tests set it."""


def announce(operation: str, path: Path) -> None:
    """Tell `on_operation` that `operation` is about to happen to `path`."""
    if on_operation is not None:
        on_operation(operation, path)


@contextmanager
def refusals_told(*folders: Path) -> Iterator[None]:
    """
    Turn what the operating system refused, whichever library asked, into DiskError.

    `folders` are where space may be short: the error says how much of it is free.
    """
    try:
        yield
    except (CurateError, BrokenPipeError):
        raise
    except Exception as error:
        reason = _refusal(error)
        if reason is None:
            raise
        raise DiskError(
            reason,
            details=[f"{folder}: {_free(folder):,} bytes free" for folder in folders],
            hint="When that is mended, type the same line again: finished work is kept.",
        ) from error


def _refusal(error: Exception) -> str | None:
    if isinstance(error, OSError):
        if error.errno is None:  # of polars, which says the rest in words
            return str(error)
        said = os.strerror(error.errno)
        return said if error.filename is None else f"{said}: {error.filename}"
    # polars hands the number on in its text, and nowhere else; of a footer not even that.
    if number := re.search(r"\(os error (\d+)\)", str(error)):
        return os.strerror(int(number[1]))
    return "the end of a table could not be written" if _FOOTER in str(error) else None


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free


def sync_folder(folder: Path) -> None:
    """fsync a folder, so that the names in it survive a power loss."""
    announce("fsync-folder", folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """fsync a file's content."""
    announce("fsync", path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """
    Give a temporary path to write to; on success it becomes `path`, on error it is deleted.

    The temporary name is fixed (`.tmp-` + name), so an interrupted write is overwritten by the
    next one and no stray files gather. One writer per path is the caller's duty.
    """
    make_folder(path.parent)
    temporary = path.parent / (TEMPORARY_PREFIX + path.name)
    announce("write", temporary)
    try:
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_file(temporary)
    announce("rename", path)
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file durably."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, durably; an existing one is fine."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    announce("mkdir", folder)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def link(target: Path, name: Path, how: str) -> None:
    """
    Give `target` a second name in the same folder: `how` is "hard", "symbolic" or "copy".

    Symbolic links hold the bare file name, so that the folder can be moved.
    """
    if target.parent != name.parent:
        raise ValueError(f"a link stays in its folder: {target} -> {name}")
    temporary = name.parent / (TEMPORARY_PREFIX + name.name)
    temporary.unlink(missing_ok=True)
    announce("link", temporary)
    if how == "hard":
        os.link(target, temporary)
    elif how == "symbolic":
        os.symlink(target.name, temporary)
    elif how == "copy":
        shutil.copyfile(target, temporary)
        sync_file(temporary)
    else:
        raise ValueError(f"how must be hard, symbolic or copy, not {how!r}")
    announce("rename", name)
    os.replace(temporary, name)
    if temporary.exists():  # rename(2) of two names of one inode does nothing
        temporary.unlink()
    sync_folder(name.parent)


def rename(old: Path, new: Path) -> None:
    """Rename a file or folder within one file system, durably."""
    announce("rename", new)
    os.replace(old, new)
    sync_folder(new.parent)
    if old.parent != new.parent and old.parent.is_dir():
        sync_folder(old.parent)


def remove(path: Path) -> None:
    """Delete a file or a whole folder; an absent one is fine."""
    if not path.exists() and not path.is_symlink():
        return
    announce("remove", path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def sweep(folder: Path) -> None:
    """Delete what interrupted writes left behind below `folder`."""
    for stray in sorted(folder.rglob(TEMPORARY_PREFIX + "*")):
        remove(stray)


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, 64 hex digits, in constant memory."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(folder: Path, name: str) -> Path:
    """
    The path of `name` in `folder`, refused (IntegrityError) if it could be anywhere else.

    Names in manifests come from strangers: only `[A-Za-z0-9._-]` segments, no `..`, no absolute
    path, no symbolic link on the way to the last segment.
    """
    parts = PurePosixPath(name).parts
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    if (
        not parts
        or str(PurePosixPath(name)) != name
        or any(part in (".", "..") or not set(part) <= allowed for part in parts)
    ):
        raise IntegrityError(f"unsafe file name {name!r}")
    path = folder
    for part in parts[:-1]:
        path = path / part
        if path.is_symlink():
            raise IntegrityError(f"{name!r} passes through a symbolic link")
    return path / parts[-1]
