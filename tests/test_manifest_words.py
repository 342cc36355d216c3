"""Every way in which a manifest can be of another form has its own words and its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate import manifest
from curate.errors import IntegrityError
from curate.fingerprint import canonical
from curate.manifest_schema import Schema, problems
from tests.tiny_mix import some_documents, write

RECORD: Schema = {
    "type": "object",
    "required": ["a"],
    "properties": {"a": {"type": "string"}, "b": {"type": "integer", "minimum": 1, "maximum": 3}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "schema", "wrong"),
    [
        ("x", {"const": "y"}, ["top: not 'y'"]),
        ("y", {"const": "y"}, []),
        (3, {"type": "string"}, ["top: not a string"]),
        (True, {"type": "integer"}, ["top: not a whole number"]),
        ([], {"type": "object"}, ["top: not an object"]),
        ({}, {"type": "array"}, ["top: not a list"]),
        ("c", {"type": "string", "enum": ["a", "b"]}, ["top: not one of a, b"]),
        ("A", {"type": "string", "pattern": "^[a-z]$"}, ["top: not of the form ^[a-z]$"]),
        ("a\n", {"type": "string", "pattern": "^[a-z]$"}, ["top: not of the form ^[a-z]$"]),
        (0, RECORD["properties"]["b"], ["top: not between 1 and 3"]),
        (4, RECORD["properties"]["b"], ["top: not between 1 and 3"]),
        (1, RECORD["properties"]["b"], []),
        (3, RECORD["properties"]["b"], []),
        ({"a": "", "b": 2}, RECORD, []),
        ({"b": 9}, RECORD, ["a: missing", "b: not between 1 and 3"]),
        ({"a": "", "c": 1}, RECORD, ["c: unknown field"]),
        ([1, "x"], {"type": "array", "items": {"type": "integer"}}, ["[1]: not a whole number"]),
        (
            {"k": {"a": 1}},
            {"type": "object", "additionalProperties": RECORD},
            ["k.a: not a string"],
        ),
        ({"k": 1}, {"type": "object"}, []),
        ([1], {"anyOf": [{"type": "string"}, {"type": "array"}]}, []),
        # The choice with the fewest faults is the one that was meant.
        (
            {"b": 9, "a": ""},
            {"anyOf": [{"type": "object", "required": ["x", "y", "z"]}, RECORD]},
            ["b: not between 1 and 3"],
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(value: Any, schema: Schema, wrong: list[str]) -> None:
    """Kind, form, range, field by field."""
    assert wrong == problems(value, schema)


def test_bytes_that_are_no_manifest_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too large, no JSON, no object, another format, not canonical, a field too many, other ids."""
    folder = write(tmp_path / "tiny" / "1.0.0", documents=some_documents())
    facts = json.loads((folder / "manifest.json").read_bytes())
    for data, words in (
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is not a JSON object"),
        (canonical({**facts, "format": "curate-manifest/2"}), "is of the unknown format"),
        (json.dumps(facts, indent=1).encode(), "is not canonical JSON"),
        (canonical({**facts, "mood": "good"}), "does not have the form of"),
        (canonical({**facts, "content_id": "0" * 64}), "has another content than"),
        (canonical({**facts, "id": "0" * 64}), "is not what its id says"),
    ):
        with pytest.raises(IntegrityError, match=words):
            manifest.parse(data, "it")
    whole = canonical(facts)
    monkeypatch.setattr(manifest, "MAX_BYTES", len(whole))
    assert facts == manifest.parse(whole, "it")
    monkeypatch.setattr(manifest, "MAX_BYTES", len(whole) - 1)
    with pytest.raises(IntegrityError, match="is larger than"):
        manifest.parse(whole, "it")
    with pytest.raises(IntegrityError, match="is larger than"):
        manifest.load(folder)


def test_a_manifest_is_read_from_its_file_or_its_folder(tmp_path: Path) -> None:
    """The same either way."""
    folder = write(tmp_path / "tiny" / "1.0.0", documents=some_documents())

    assert manifest.load(folder) == manifest.load(folder / "manifest.json")
