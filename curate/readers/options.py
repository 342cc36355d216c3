"""
Turn a `[source.x]` table of a recipe into a full, checked declaration.

    >>> declare("c4", {}, where="r.toml [source.c4]")
    {'reader': 'c4', 'format': 1}
    >>> post = declare("4chan", {"document": "post"}, where="r.toml [source.pol]")
    >>> post["document"], post["board"], post["quotelinks"]
    ('post', 'pol', 'keep')
"""

import difflib
import hashlib
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from curate.errors import RecipeError, UsageError
from curate.readers.base import Declaration, Reader

FORMAT = 1
"""Raised when any reader writes other bytes for the same input; a golden-digest test guards it."""


SALT_VARIABLE = "CURATE_IDENTITY_SALT"
"""Environment variable with the private salt of `identities = "hash"`."""


@dataclass(frozen=True)
class Option:
    """One key of a `[source.x]` table: its type is its default's."""

    default: str | bool | int | dict[str, str] | list[str]
    choices: tuple[str, ...] = ()  # of the value, or of the keys of a table
    meaning: str = ""


FORMS = ("threads", "asagi", "csv", "parquet", "rendered")
"""Forms of 4chan dumps; "threads" are JSON: lines of threads, or answers of the API."""

# fmt: off
ROLES = (
    "no", "thread", "text", "subject", "time", "country", "flag", "board", "file", "ghost", "name",
    "trip", "poster",
)
# fmt: on
"""What a column of a table of posts can hold (`fourchan.rows.NAMES` has the usual names)."""

PAGE_ROLES = ("text", "url", "time", "language", "license")
"""What a key or column of a file of web text can hold."""

OPTIONS: dict[str, dict[str, Option]] = {
    "c4": {},
    "jsonl": {
        "columns": Option({}, PAGE_ROLES, "role → key, with dots into nested objects"),
        "keep": Option([], (), "further keys to keep, as jsonl.<key>"),
    },
    "parquet": {
        "columns": Option({}, PAGE_ROLES, "role → column"),
        "keep": Option([], (), "further columns to keep, as parquet.<name>"),
    },
    "text": {"split": Option("file", ("file", "line", "paragraph"), "what one document is")},
    "warc": {},
    "4chan": {
        "document": Option("thread", ("thread", "post"), "what one document is"),
        "serialisation": Option(
            "plain", ("plain", "local-ids", "gpt-4chan", "chat"), "how a thread becomes text"
        ),
        "board": Option("pol", (), "board of posts that do not say theirs"),
        "quotelinks": Option("keep", ("keep", "drop"), "whether >>123 stays in the text"),
        "dangling": Option(
            "mark", ("keep", "mark", "drop"), "what >>123 becomes if 123 is not in the thread"
        ),
        "identities": Option("drop", ("drop", "hash"), "what becomes of names and poster ids"),
        "dump": Option("auto", ("auto", *FORMS), "what kind of dump the files are"),
        "columns": Option({}, ROLES, "role → column of a CSV or Parquet file"),
        "markup": Option("auto", ("auto", "html", "bbcode", "text"), "what bodies in rows are"),
        "timezone": Option("auto", ("auto", "UTC", "America/New_York"), "clock of times in rows"),
        "ghosts": Option("skip", ("skip", "keep"), "posts written on an archive, not on 4chan"),
        "join": Option(False, (), "merge the posts of a thread wherever they are"),
    },
}
"""Reader → its options."""

_MODULES = {
    "c4": "curate.readers.web",
    "jsonl": "curate.readers.web",
    "parquet": "curate.readers.parquet",
    "text": "curate.readers.text",
    "warc": "curate.readers.warc",
    "4chan": "curate.readers.fourchan",
}


def declare(reader: str, options: Mapping[str, object], *, where: str) -> dict[str, Any]:
    """
    The full canonical declaration of a source: every option with its value, reader and FORMAT.

    `options` are the keys of the table beyond name, reader, files and license. A key or value that
    is not known raises RecipeError, which names `where` and the nearest known one.
    """
    known = OPTIONS.get(reader)
    if known is None:
        raise RecipeError(f"{where}: unknown reader {reader}{_nearest(reader, OPTIONS)}")
    for key in options:
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key}{_nearest(key, known)}")
    declaration: dict[str, Any] = {"reader": reader, "format": FORMAT}
    for key, option in known.items():
        value = options.get(key, option.default)
        _check(key, value, option, where)
        declaration[key] = value
    if declaration.get("identities") == "hash":
        if declaration["document"] != "post":
            raise RecipeError(f'{where}: identities = "hash" needs document = "post"')
        # What is written depends on the salt, so the fingerprint must too; the salt stays private.
        declaration["salt"] = hashlib.sha256(salt()).hexdigest()[:16]
    if declaration.get("join") and declaration["document"] != "thread":
        raise RecipeError(f'{where}: join needs document = "thread"')
    return declaration


def salt() -> bytes:
    """The private salt of `identities = "hash"`; UsageError if it is not set."""
    value = os.environ.get(SALT_VARIABLE, "")
    if len(value) < 16:
        raise UsageError(
            'identities = "hash" needs a private salt of 16 characters or more',
            hint=f"export {SALT_VARIABLE}=$(openssl rand -hex 32), and keep it secret.",
        )
    return value.encode()


def module_of(declaration: Declaration) -> Reader:
    """The module that reads what was declared."""
    return cast(Reader, importlib.import_module(_MODULES[str(declaration["reader"])]))


def _check(key: str, value: object, option: Option, where: str) -> None:
    kind = type(option.default)
    if type(value) is not kind:
        raise RecipeError(f"{where}: {key} must be {_NAMES[kind]}, not {type(value).__name__}")
    if isinstance(value, dict):
        for role, column in value.items():
            if role not in option.choices:
                nearest = _nearest(role, option.choices)
                raise RecipeError(f"{where}: unknown role {role} in {key}{nearest}")
            if not isinstance(column, str):
                raise RecipeError(f"{where}: {key}.{role} must be the name of a column")
    elif isinstance(value, list):
        if not all(isinstance(item, str) for item in value) or len(set(value)) < len(value):
            raise RecipeError(f"{where}: {key} must be a list of different names")
    elif option.choices and value not in option.choices:
        raise RecipeError(
            f"{where}: {key} cannot be {value!r}{_nearest(str(value), option.choices)}",
            details=[f"one of: {', '.join(option.choices)}"],
        )


_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    dict: "a table",
    list: "a list",
}


def _nearest(name: str, known: "Mapping[str, object] | tuple[str, ...]") -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return f", did you mean {near[0]}?" if near else " (there are none)"
