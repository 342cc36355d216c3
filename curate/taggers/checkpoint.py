"""
Turn a Detoxify checkpoint into what it says of itself, without torch and without running anything.

A checkpoint is a pickle, which can call any function when it is read. This reader knows the four
names that a state dict needs, makes nothing of them but empty shells, and refuses every other; the
weights stay on the disk. (`torch.load(weights_only=True)` then loads them, in `detoxify`.)

    >>> import io, pickle
    >>> class Hostile:
    ...     def __reduce__(self):
    ...         return (print, ("run!",))
    >>> plain(io.BytesIO(pickle.dumps(Hostile())))
    Traceback (most recent call last):
      ...
    curate.errors.InputError: the checkpoint would call builtins.print, and is not read
"""

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from curate.errors import InputError

NETWORKS = ("Bert", "Roberta", "XLMRoberta", "Albert")
"""Whose sequence classifiers a checkpoint may name: those of Detoxify's published models."""

_RENAMED = {
    "toxic": "toxicity",
    "identity_hate": "identity_attack",
    "severe_toxic": "severe_toxicity",
}
_SHELLS = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}
_USUAL = 512
_LARGEST = 64 << 20  # bytes of the pickled part, which holds no weights
_LEGACY_PREAMBLE = 3  # pickles before the object in the format before torch 1.6


class _Shell(dict[Any, Any]):
    """Stands for every object of a checkpoint that is not plain; keeps items, does nothing."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass


class _Reader(pickle._Unpickler):
    """The standard library's reader in Python: the one in C takes memory a file asks it to."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _SHELLS or (module == "torch" and name.endswith("Storage")):
            return _Shell
        raise InputError(f"the checkpoint would call {module}.{name}, and is not read")

    def persistent_load(self, pid: Any) -> None:
        return None


def plain(file: IO[bytes]) -> Any:
    """The next pickle of `file` with shells for tensors; InputError for anything else in it."""
    try:
        return _Reader(file).load()
    except InputError:
        raise
    except Exception as error:  # damaged pickles raise almost every kind
        raise InputError("the checkpoint is damaged", details=[type(error).__name__]) from None


def path_in(folder: Path) -> Path:
    """The one `*.ckpt` of a model folder; InputError if the folder is not a Detoxify model."""
    found = sorted(folder.glob("*.ckpt")) if folder.is_dir() else []
    if len(found) != 1:
        raise InputError(
            f"{folder.name} is not a Detoxify model: {len(found)} files *.ckpt in it",
            hint="It needs one checkpoint, config.json and tokenizer.json: docs/taggers.md.",
        )
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise InputError(f"{folder.name} is not a Detoxify model: it has no {name}")
    return found[0]


def described(folder: Path) -> tuple[str, list[str]]:
    """
    Network class and heads (in the checkpoint's order, by Detoxify's names) of a model folder.

    Raises InputError for what is no checkpoint, or names a network that Detoxify does not use.
    """
    path = path_in(folder)
    if zipfile.is_zipfile(path):
        found = _zipped(path)
    else:
        with open(path, "rb") as file:
            for _ in range(_LEGACY_PREAMBLE):
                plain(file)
            found = plain(file)
    try:
        arch, classes = (found["config"][key]["args"] for key in ("arch", "dataset"))
        network, heads = arch["model_name"], list(classes["classes"])
        sound = (
            arch["num_classes"] == len(heads) == len(set(heads)) > 0
            and all(isinstance(head, str) and head.replace("_", "").isalnum() for head in heads)
            and isinstance(found["state_dict"], Mapping)
        )
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise InputError(f"{path.name} is not a Detoxify checkpoint: it lacks its config or heads")
    if network not in [f"{name}ForSequenceClassification" for name in NETWORKS]:
        raise InputError(f"{path.name}: the network {network!r} is not one of Detoxify's")
    return network, [_RENAMED.get(head, head) for head in heads]


def longest(folder: Path) -> int:
    """Tokens that the network of a model folder can take at once, at most 512."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        positions = int(config.get("max_position_embeddings", _USUAL))
    except (ValueError, AttributeError, TypeError):
        raise InputError(f"{folder.name}/config.json is not a network's configuration") from None
    # RoBERTa's family counts positions from its padding id + 1.
    if "roberta" in str(config.get("model_type", "")):
        positions -= 2
    return min(positions, _USUAL)


def _zipped(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(names) != 1:
                raise InputError(f"{path.name} is not a Detoxify checkpoint")
            entry = archive.getinfo(names[0])
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > _LARGEST:
                raise InputError(f"{path.name} is not a Detoxify checkpoint: compressed or too big")
            return plain(io.BytesIO(archive.read(entry)))
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise InputError(f"{path.name} is damaged", details=[type(error).__name__]) from None
