"""
Turn what a mix is into the one file that says so, and that file back into facts one can trust.

A manifest is canonical JSON (docs/format.md §5.5): `content` is what a trainer sees, `origin`
where it came from, `estimates` what was not counted. `content_id` and `id` are digests of its own
parts, so that a reader knows at once when a byte of it was changed:

    >>> from curate.errors import IntegrityError
    >>> try:
    ...     parse(b'{"format":"curate-manifest/9"}', "mixes/a/1/manifest.json")
    ... except IntegrityError as error:
    ...     print(error.render())
    error: mixes/a/1/manifest.json is of the unknown format 'curate-manifest/9'
      this version of curate reads curate-manifest/1
      Install the version of curate that wrote it, or a later one.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import IntegrityError, UsageError
from curate.files import inside
from curate.fingerprint import canonical, digest
from curate.manifest_schema import Schema, manifest_schema, problems

if TYPE_CHECKING:
    import polars as pl

FORMAT = "curate-manifest/1"

FILE_NAME = "manifest.json"

LISTS = {("content", "shards"): 1_000, ("origin", "inputs"): 1_024, ("origin", "removals"): 1_024}
"""Lists that may stand in a manifest, and the rows beyond which they become tables."""

MAX_BYTES = 64 * 1024 * 1024
"""No manifest is larger; a stranger's file is not parsed before this is known."""


def build(
    *,
    name: str,
    version: str,
    content: Mapping[str, Any],
    origin: Mapping[str, Any],
    files: Mapping[str, Any],
    estimates: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """
    The manifest of these facts: adds `format`, `content_id` and `id` (docs/format.md §5.5).

    Raises IntegrityError if a field is missing, unknown or of another form, TypeError if a value
    cannot be written in exactly one way (None, float).
    """
    facts: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "content": content,
        "origin": origin,
        "files": files,
    }
    if estimates is not None:
        facts["estimates"] = estimates
    manifest: dict[str, Any] = json.loads(canonical(facts))  # Fractions become text, tuples lists
    manifest["content_id"] = digest(canonical(manifest["content"]))
    manifest["id"] = digest(canonical(manifest))
    _check_fields(manifest, f"the manifest of {name}@{version}")
    return manifest


def to_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The bytes of `manifest.json`: canonical JSON, no final newline."""
    return canonical(manifest)


def load(path: Path) -> dict[str, Any]:
    """
    The manifest in a file, or in a mix folder's `manifest.json`.

    Raises IntegrityError if the file is absent, of an unknown format, not canonical, lacks a field,
    or if `content_id` or `id` is not the digest of what it names.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        with open(file, "rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise IntegrityError(
            f"{file} is missing",
            hint="A mix without a manifest is not finished: run the build again.",
        ) from None
    return parse(data, str(file))


def parse(data: bytes, name: str) -> dict[str, Any]:
    """The manifest in `data`; `name` is what errors call it. Raises as `load` does."""
    if len(data) > MAX_BYTES:
        raise IntegrityError(f"{name} is larger than {MAX_BYTES:,} bytes")
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{name} is not JSON", details=[str(error)]) from None
    if not isinstance(manifest, dict):
        raise IntegrityError(f"{name} is not a JSON object")
    if manifest.get("format") != FORMAT:
        raise IntegrityError(
            f"{name} is of the unknown format {manifest.get('format')!r}",
            details=[f"this version of curate reads {FORMAT}"],
            hint="Install the version of curate that wrote it, or a later one.",
        )
    if _canonical_or_nothing(manifest) != data:
        raise IntegrityError(
            f"{name} is not canonical JSON (RFC 8785)",
            details=["it was edited or reformatted after it was written"],
        )
    _check_fields(manifest, name)
    _check_ids(manifest, name)
    return manifest


def shorten(
    content: Mapping[str, Any], origin: Mapping[str, Any]
) -> "tuple[dict[str, Any], dict[str, Any], dict[str, pl.DataFrame]]":
    """
    `content` and `origin` with lists too long for a manifest replaced by references to tables.

    Returns both and the tables by file name; the writer puts them beside `manifest.json`. A
    reference holds the digest of the list's canonical JSON, not of the file, so that it does not
    depend on how Parquet is written. Fields that are no number, string or flag are columns
    `<field>.json`.
    """
    import polars as pl

    short: dict[str, dict[str, Any]] = {"content": dict(content), "origin": dict(origin)}
    tables: dict[str, pl.DataFrame] = {}
    for part, field in LISTS:
        rows = short[part].get(field, [])
        if len(rows) > LISTS[part, field]:
            name = f"{field}.parquet"
            tables[name] = pl.DataFrame([_flat(row) for row in rows], infer_schema_length=None)
            reference = {"table": name, "n_rows": len(rows), "digest": digest(canonical(rows))}
            short[part][field] = reference
    return short["content"], short["origin"], tables


def listed(value: Any, folder: Path) -> list[dict[str, Any]]:
    """
    The rows of a field that is a list, or a reference to a table in the mix folder.

    Raises IntegrityError if the table is absent or is not the one that was referred to.
    """
    if isinstance(value, list):
        return value
    import polars as pl

    name = value["table"]
    try:
        table = pl.read_parquet(inside(folder, name))
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise IntegrityError(f"{name} cannot be read", details=[type(error).__name__]) from None
    rows = [_deep(row) for row in table.iter_rows(named=True)]
    if digest(_canonical_or_nothing(rows)) != value["digest"]:
        raise IntegrityError(f"{name} does not hold the rows that the manifest refers to")
    return rows


def locate(name: str, mixes: Path) -> Path:
    """
    The mix folder or manifest that `name` means: a path, `mix@version`, or `mix` with one version.

    Raises UsageError if there is none, or more than one.
    """
    if Path(name).exists():
        return Path(name)
    mix, _, version = name.partition("@")
    base = mixes / mix
    found = sorted(p.parent for p in base.glob(f"*/{FILE_NAME}")) if base.is_dir() else []
    if version:
        found = [folder for folder in found if folder.name == version]
    if len(found) == 1:
        return found[0]
    near = ", ".join(f"{mix}@{folder.name}" for folder in found)
    raise UsageError(
        f"{name!r} names {'more than one mix' if found else 'no mix'}",
        details=[f"in {mixes}: {near}"] if found else [f"no such path, and none in {mixes}"],
        hint="Name a mix folder, a manifest, or mix@version.",
    )


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    scalar = (int, str)
    return {
        name if isinstance(value, scalar) else f"{name}.json": value
        if isinstance(value, scalar)
        else canonical(value).decode()
        for name, value in row.items()
    }


def _deep(row: Mapping[str, Any]) -> dict[str, Any]:
    deep = ((name.removesuffix(".json"), name.endswith(".json"), v) for name, v in row.items())
    return {
        name: json.loads(value) if nested else value
        for name, nested, value in deep
        if value is not None
    }


def schema() -> Schema:
    """The JSON Schema of a manifest, as published in docs/manifest.schema.json."""
    return manifest_schema(FORMAT)


def _canonical_or_nothing(value: Any) -> bytes:
    try:
        return canonical(value)
    except (
        TypeError,
        ValueError,
        RecursionError,
    ):  # null, float, an integer beyond 2^53
        return b""


def _check_fields(manifest: Mapping[str, Any], name: str) -> None:
    wrong = problems(manifest, schema())
    if wrong:
        raise IntegrityError(f"{name} does not have the form of {FORMAT}", details=wrong[:20])


def _check_ids(manifest: Mapping[str, Any], name: str) -> None:
    content_id = hashlib.sha256(canonical(manifest["content"])).hexdigest()
    if content_id != manifest["content_id"]:
        raise IntegrityError(
            f"{name} has another content than its content_id says",
            details=[
                f"content_id {manifest['content_id']}",
                f"content is {content_id}",
            ],
        )
    rest = {field: value for field, value in manifest.items() if field != "id"}
    identity = hashlib.sha256(canonical(rest)).hexdigest()
    if identity != manifest["id"]:
        raise IntegrityError(
            f"{name} is not what its id says",
            details=[f"id {manifest['id']}", f"the manifest is {identity}"],
        )
