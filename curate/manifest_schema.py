"""
Turn the description of a manifest into a JSON Schema, and a value into what is wrong with it.

The schema is the single statement of which fields a manifest has; `problems` checks a value against
the subset of JSON Schema 2020-12 that the schema uses, so that no validator is needed at run time:

    >>> problems({"name": 3}, {"type": "object", "required": ["id"], "properties":
    ...     {"name": {"type": "string"}, "id": {"type": "string"}}, "additionalProperties": False})
    ['id: missing', 'name: not a string']
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]

COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
INTEGER: Schema = {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}
TEXT: Schema = {"type": "string"}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
KEY: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
FRACTION: Schema = {"type": "string", "pattern": "^-?(0|[1-9][0-9]*)/[1-9][0-9]*$"}
NAME: Schema = {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$"}
VERSION: Schema = {"type": "string", "pattern": "^[0-9A-Za-z][0-9A-Za-z.-]*$"}
BASE_NAME: Schema = {"type": "string", "pattern": "^[^/\\\\\\x00-\\x1f]+$"}
SHARD_NAME: Schema = {"type": "string", "pattern": "^[0-9]{5,9}-[0-9a-f]{8}$"}
TABLE_NAME: Schema = {"type": "string", "pattern": "^[a-z]+\\.parquet$"}
OPEN: Schema = {"type": "object"}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _map(item: Schema) -> Schema:
    return {"type": "object", "additionalProperties": item}


def _record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with exactly these fields."""
    return {
        "type": "object",
        "required": sorted(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def _open(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with at least these fields."""
    return {
        "type": "object",
        "required": sorted(required),
        "properties": {**required, **(optional or {})},
    }


def _list_or_table(item: Schema) -> Schema:
    """A list, or the reference that stands for a list too long for the manifest."""
    table = _record({"table": TABLE_NAME, "n_rows": COUNT, "digest": DIGEST})
    return {"anyOf": [_list(item), table]}


_TOKEN = _record({"token": TEXT, "id": COUNT})
_TOKENIZER = _record(
    {
        "sha256": DIGEST,
        "n_vocab": COUNT,
        "dtype": {"type": "string", "enum": ["uint16", "uint32"]},
        "eos": _TOKEN,
    },
    {"bos": _TOKEN},
)
_CUT = _record({"key": KEY, "epoch": COUNT, "n_tokens": COUNT, "n_tokens_whole": COUNT})
_COMPONENT = _record(
    {
        "name": NAME,
        "unit": {"type": "string", "enum": ["tokens", "documents", "bytes"]},
        "requested": COUNT,
        "n_tokens": COUNT,
        "n_spans": COUNT,
        "n_documents": COUNT,
        "n_bytes": COUNT,
        "residual": INTEGER,
        "epochs": FRACTION,
        "share": FRACTION,
        "cut": _list(_CUT),
        "stream_digest": DIGEST,
    },
    {"of": NAME, "phases": _list(_list(FRACTION))},
)
_SHARD = _record({"name": SHARD_NAME, "sha256": DIGEST, "n_tokens": COUNT, "n_spans": COUNT})
_WINDOWS = _record({"n_windows": _list(COUNT), "n_dropped": _map(COUNT)})
_CONTENT = _record(
    {
        "tokenizer": _TOKENIZER,
        "layout": {"type": "string", "enum": ["interleaved", "by-source"]},
        "seed": COUNT,
        "n_tokens": COUNT,
        "n_spans": COUNT,
        "n_documents": COUNT,
        "n_bytes": COUNT,
        "components": _list(_COMPONENT),
        "largest_deviation": _record(
            {"value": FRACTION, "component": TEXT, "at": COUNT, "bound": FRACTION}
        ),
        "shards": _list_or_table(_SHARD),
        "windows": _record(dict.fromkeys(("1024", "2048", "4096", "8192"), _WINDOWS)),
        "merkle_root": DIGEST,
    }
)
_DROPPED = _list(_record({"clause": TEXT, "n_documents": COUNT}))
_ORIGIN = _open(
    {
        "recipe": _open({"name": TEXT, "sha256": DIGEST, "text": TEXT}),
        "arm": _open({"name": TEXT, "settings": _map(TEXT)}),
        "tool": _open({"name": TEXT, "version": TEXT}),
        "libraries": _map(TEXT),
        "stages": _map(_open({"format": COUNT, "determinism": TEXT})),
        "sources": _map(
            _open(
                {
                    "reader": TEXT,
                    "n_read": COUNT,
                    "n_superseded": COUNT,
                    "n_held_out": COUNT,
                    "n_empty": COUNT,
                },
                {
                    "n_removed": COUNT,
                    "license": TEXT,
                    "terms": TEXT,
                    "period": _record({"from": TEXT, "to": TEXT}),
                },
            )
        ),
        "inputs": _list_or_table(
            _open(
                {
                    "source": TEXT,
                    "name": BASE_NAME,
                    "sha256": DIGEST,
                    "n_bytes": COUNT,
                    "n_records": COUNT,
                    "n_documents": COUNT,
                    "skipped": _map(COUNT),
                    "rejected": _map(COUNT),
                }
            )
        ),
        "components": _map(
            _open(
                {
                    "source": TEXT,
                    "eligible": _map(COUNT),
                    "dropped": _DROPPED,
                    "n_unused": COUNT,
                },
                {"where": TEXT},
            )
        ),
        "taggers": _map(OPEN),
        "tokenizer": OPEN,
    },
    {
        "lock": _open({"sha256": DIGEST}),
        "holdout": OPEN,
        "opt_outs": _list(
            _record(
                {
                    "name": TEXT,
                    "sha256": DIGEST,
                    "n_entries": COUNT,
                    "n_matches": COUNT,
                },
                {"version": VERSION, "date": TEXT},
            )
        ),
        "removals": _list_or_table(OPEN),
        "parent": _open({"version": VERSION, "id": DIGEST}),
        "evaluations": _record({"checked": _list(OPEN), "not_checked": _list(TEXT)}),
    },
)


def manifest_schema(format_name: str) -> Schema:
    """The JSON Schema (2020-12) of a whole manifest."""
    files = _record({"sums_sha256": DIGEST, "n_files": COUNT, "n_bytes": COUNT})
    required = {
        "format": {"const": format_name},
        "name": NAME,
        "version": VERSION,
        "content": _CONTENT,
        "origin": _ORIGIN,
        "files": files,
        "content_id": DIGEST,
        "id": DIGEST,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format_name,
        **_record(required, {"estimates": OPEN}),
    }


def problems(value: Any, schema: Schema) -> list[str]:
    """What is wrong with `value`, as `where: what` lines in order of place; empty if nothing."""
    return list(_problems(value, schema, ""))


_TYPES: dict[str, tuple[type, str]] = {
    "object": (dict, "an object"),
    "array": (list, "a list"),
    "string": (str, "a string"),
    "integer": (int, "a whole number"),
}


def _problems(value: Any, schema: Schema, where: str) -> Iterator[str]:
    place = where or "top"
    if "const" in schema and value != schema["const"]:
        yield f"{place}: not {schema['const']!r}"
    if "anyOf" in schema:
        found = [list(_problems(value, choice, where)) for choice in schema["anyOf"]]
        if all(found):
            yield from min(found, key=len)
        return
    if "type" in schema:
        kind, words = _TYPES[schema["type"]]
        if not isinstance(value, kind) or isinstance(value, bool):
            yield f"{place}: not {words}"
            return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: not one of {', '.join(schema['enum'])}"
    if "pattern" in schema and not re.search(schema["pattern"].replace("$", r"\Z"), value):
        yield f"{place}: not of the form {schema['pattern']}"
    if "minimum" in schema and not schema["minimum"] <= value <= schema["maximum"]:
        yield f"{place}: not between {schema['minimum']:,} and {schema['maximum']:,}"
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from _problems(item, schema["items"], f"{where}[{number}]")
    if isinstance(value, dict):
        yield from _object_problems(value, schema, where)


def _object_problems(value: dict[str, Any], schema: Schema, where: str) -> Iterator[str]:
    properties: dict[str, Schema] = schema.get("properties", {})
    rest = schema.get("additionalProperties", True)
    for name in sorted({*value, *schema.get("required", [])}):
        inner = f"{where}.{name}".lstrip(".")
        if name not in value:
            yield f"{inner}: missing"
        elif name in properties:
            yield from _problems(value[name], properties[name], inner)
        elif rest is False:
            yield f"{inner}: unknown field"
        elif isinstance(rest, dict):
            yield from _problems(value[name], rest, inner)
