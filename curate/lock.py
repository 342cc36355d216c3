r"""
Turn a recipe's patterns and names into digests that a build can be held to.

A lock is TOML beside the recipe (`demo.toml` → `demo.lock`), committed with it. Inputs are listed
by source and name; a build refuses an input, tokenizer or model that is not the locked one.

    >>> lock = Lock(
    ...     inputs=(Input("c4", "samples/c4.json.gz", "ab" * 32, 1234),),
    ...     tokenizer={"file": "builtin:demo", "sha256": "cd" * 32, "probe": [5, 0]},
    ...     models=(),
    ...     resolved={},
    ... )
    >>> parse(lock.to_toml()) == lock
    True
"""

import glob
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from curate import files
from curate.errors import InputError, IntegrityError, RecipeError, RemoteError, UsageError

FORMAT = "curate-lock/1"


@dataclass(frozen=True)
class Input:
    """One file of one source: its name as the recipe's pattern found it, digest and length."""

    source: str
    name: str
    sha256: str
    n_bytes: int


@dataclass(frozen=True)
class Lock:
    """What a recipe resolved to. `models` and `tokenizer` hold strings, integers and lists."""

    inputs: tuple[Input, ...]
    tokenizer: Mapping[str, Any]
    models: tuple[Mapping[str, Any], ...] = ()
    resolved: Mapping[str, str] = field(default_factory=dict)

    def to_toml(self) -> str:
        """The lock file's text: the same lock always gives the same bytes."""
        lines = ["# Written by `curate lock`; commit it with the recipe.", f'format = "{FORMAT}"']
        for item in self.inputs:
            table = {
                "source": item.source,
                "name": item.name,
                "sha256": item.sha256,
                "bytes": item.n_bytes,
            }
            lines += ["", "[[input]]", *_table(table)]
        lines += ["", "[tokenizer]", *_table(self.tokenizer)]
        for model in self.models:
            lines += ["", "[[model]]", *_table(model)]
        if self.resolved:
            lines += ["", "[resolved]", *_table(dict(sorted(self.resolved.items())))]
        return "\n".join(lines) + "\n"

    def of(self, source: str) -> list[Input]:
        """The inputs of one source, by name."""
        return [item for item in self.inputs if item.source == source]


def path_of(recipe: Path) -> Path:
    """Where the lock of a recipe lies."""
    return recipe.with_suffix(".lock")


def load(recipe: Path) -> Lock | None:
    """The lock beside a recipe, or None if there is none yet."""
    path = path_of(recipe)
    try:
        return parse(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path.name} is not a lock file: {error}",
            hint=f"Delete it and run: curate lock {recipe.name}",
        ) from None


def parse(text: str) -> Lock:
    """Read a lock file's text."""
    raw = tomllib.loads(text)
    if raw.get("format") != FORMAT:
        raise UsageError(
            f"the lock has format {raw.get('format')!r}, this version reads {FORMAT!r}"
        )
    return Lock(
        inputs=tuple(
            Input(i["source"], i["name"], i["sha256"], i["bytes"]) for i in raw.get("input", [])
        ),
        tokenizer=raw["tokenizer"],
        models=tuple(raw.get("model", [])),
        resolved=raw.get("resolved", {}),
    )


def _table(table: Mapping[str, Any]) -> list[str]:
    pairs = table.items()
    return [f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}" for key, value in pairs]


def _key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() else json.dumps(key, ensure_ascii=False)


def expand(source: str, patterns: Iterable[str]) -> list[str]:
    """
    The names that a source's patterns match now: sorted, each once.

    Local patterns are globs relative to the working directory; URLs are expanded by fsspec. A
    pattern that matches nothing is an error.
    """
    names: set[str] = set()
    for pattern in patterns:
        found = _expand_url(pattern) if is_url(pattern) else glob.glob(pattern, recursive=True)
        found = [name for name in found if is_url(name) or not os.path.isdir(name)]
        if not found:
            raise RecipeError(
                f"[source.{source}] files: nothing matches {pattern!r}",
                details=[]
                if is_url(pattern)
                else ["patterns are relative to the working directory"],
                hint="Correct the pattern, or get the dump with: curate fetch",
            )
        names.update(found)
    return sorted(names)


def is_url(name: str) -> bool:
    """Whether a name is a URL (`hf://`, `s3://`, `https://` …) and not a local path."""
    return "://" in name


def without_credentials(url: str) -> str:
    """A URL without user, password and query: what may be written down."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _expand_url(pattern: str) -> list[str]:
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(pattern)
        found = fs.glob(path) if any(c in path for c in "*?[") else [path]
        return [fs.unstrip_protocol(name) for name in found]
    except (OSError, ValueError, ImportError) as error:
        raise RemoteError(
            f"cannot list {without_credentials(pattern)}: {type(error).__name__}",
            hint="Check the address and the network, then run the same line again.",
        ) from None


def resolve(source: str, name: str, memory: "Memory | None" = None) -> Input:
    """Digest and length of one input: by reading it, or from the Hub's own pointer."""
    if is_url(name):
        return _resolve_url(source, name)
    path = Path(name)
    try:
        sha256 = memory.sha256_of(path) if memory else files.sha256_of(path)
        return Input(source, name, sha256, path.stat().st_size)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from None


def _resolve_url(source: str, url: str) -> Input:
    import hashlib

    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(url)
        info = fs.info(path)
        pointer = info.get("lfs")
        if pointer:
            return Input(source, _pinned(url, fs, path), pointer["sha256"], int(pointer["size"]))
        state, n_bytes = hashlib.sha256(), 0
        with fs.open(path, "rb", compression=None) as stream:
            while block := stream.read(1 << 20):
                state.update(block)
                n_bytes += len(block)
        return Input(source, url, state.hexdigest(), n_bytes)
    except (OSError, ValueError) as error:
        raise RemoteError(
            f"cannot read {without_credentials(url)}: {type(error).__name__}",
            hint="Check the address and the network, then run the same line again.",
        ) from None


def _pinned(url: str, fs: Any, path: str) -> str:
    """An `hf://` URL with its revision resolved to a commit; other URLs as they are."""
    if not url.startswith("hf://"):
        return url
    at = fs.resolve_path(path)
    commit = fs._api.repo_info(at.repo_id, repo_type=at.repo_type, revision=at.revision).sha
    prefix = {"dataset": "datasets/", "space": "spaces/", "model": ""}[at.repo_type]
    return f"hf://{prefix}{at.repo_id}@{commit}/{at.path_in_repo}"


class Memory:
    """
    Digests of local files by (path, length, modification time, inode), kept in the store.

    It only saves hashing the same bytes at every build; reading and `verify` never trust it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._known: dict[str, list[Any]] = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            self._known = {}

    def sha256_of(self, path: Path) -> str:
        """sha256 of a file, from memory if nothing about the file changed."""
        status = path.stat()
        seen = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._known.get(str(path.resolve()))
        if known and known[:3] == seen:
            return str(known[3])
        sha256 = files.sha256_of(path)
        self._known[str(path.resolve())] = [*seen, sha256]
        return sha256

    def save(self) -> None:
        """Write what was learned."""
        files.write_bytes(self.path, json.dumps(self._known, indent=0, sort_keys=True).encode())


def check(locked: Lock, found: Lock, *, recipe: Path) -> None:
    """Refuse (IntegrityError) anything in `found` that is not the locked one; say what it is."""
    differences = []
    old = {(i.source, i.name): i for i in locked.inputs}
    new = {(i.source, i.name): i for i in found.inputs}
    for source, name in sorted(old.keys() | new.keys()):
        was, now = old.get((source, name)), new.get((source, name))
        if was is None:
            differences.append(f"{source}: {name} is not in the lock")
        elif now is None:
            differences.append(f"{source}: {name} is in the lock but no longer found")
        elif was.sha256 != now.sha256:
            differences.append(
                f"{source}: {name} is {now.sha256[:12]}… ({now.n_bytes:,} bytes), "
                f"locked {was.sha256[:12]}… ({was.n_bytes:,} bytes)"
            )
    if dict(locked.tokenizer) != dict(found.tokenizer):
        differences.append(_first_difference("tokenizer", locked.tokenizer, found.tokenizer))
    if [dict(m) for m in locked.models] != [dict(m) for m in found.models]:
        was_models = {m["tagger"]: m for m in locked.models}
        now_models = {m["tagger"]: m for m in found.models}
        differences += [
            _first_difference(f"tagger {name}", was_models.get(name, {}), now_models.get(name, {}))
            for name in sorted(was_models.keys() | now_models.keys())
            if was_models.get(name) != now_models.get(name)
        ]
    if differences:
        raise IntegrityError(
            f"{path_of(recipe).name} holds something else than is here now",
            details=differences[:20],
            hint=f"Put the locked files back, or accept the new ones: curate lock --force {recipe}",
        )


def _first_difference(what: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for key in [*was, *(k for k in now if k not in was)]:
        if was.get(key) != now.get(key):
            return f"{what}: {key} is {_short(now.get(key))}, locked {_short(was.get(key))}"
    return f"{what} differs"


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "…"
