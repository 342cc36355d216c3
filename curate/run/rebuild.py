"""
Turn a mix's recipe into the mix once more, somewhere else, and say whether it is the same.

A version that documents were taken out of is its parent and a patch: the parent is built, and every
patch in the log is applied again, with the same unused documents.
"""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import manifest
from curate.audit.diff import changes
from curate.audit.findings import Finding
from curate.errors import CurateError, IntegrityError, UsageError
from curate.fingerprint import digest
from curate.run import events, removals
from curate.run.order import Order
from curate.store import Store

if TYPE_CHECKING:
    from curate.audit.opened import Opened

MAX_CHANGES = 10


def rebuild(
    mix: "Opened",
    *,
    recipe: Path,
    store: Path | None,
    secret: Path,
    workers: int = 1,
    listen: events.Listener = events.ignore,
) -> list[Finding]:
    """
    Build the recipe again and compare `content`; no findings if it is the same.

    `store` holds results that may be used; without one everything is made again from the dumps.
    Raises UsageError if the recipe is another one, and what the build raises.
    """
    if digest(recipe.read_bytes()) != mix.origin["recipe"]["sha256"]:
        raise UsageError(
            f"{recipe} is not the recipe of {mix.title}",
            hint="Check out the recipe of that version.",
        )
    versions = _versions(mix)
    place = Path(tempfile.mkdtemp(prefix="curate-rebuild-"))
    try:
        made = _again(
            mix, recipe, store or place / "store", place, versions, secret, workers, listen
        )
        return _compare(mix, made)
    finally:
        shutil.rmtree(place)


def _versions(mix: "Opened") -> list[dict[str, Any]]:
    """The patches between the recipe's own version and this one, oldest first."""
    log = manifest.listed(mix.origin.get("removals", []), mix.folder)
    parent = mix.origin.get("parent")
    found: list[dict[str, Any]] = []
    version, facts = mix.manifest["version"], mix.manifest
    while parent is not None:
        mine = [entry for entry in log if entry["version"] == version]
        found.insert(0, {"version": version, "log": mine})
        version = parent["version"]
        path = mix.folder.parent / version
        try:
            facts = manifest.load(path)
        except IntegrityError:
            raise IntegrityError(
                f"the parent of {mix.title} is not beside it",
                details=[f"looked for {path}"],
                hint="Get the older versions: a patch is rebuilt from them.",
            ) from None
        parent = facts["origin"].get("parent")
    return found


def _again(
    mix: "Opened",
    recipe: Path,
    store: Path,
    place: Path,
    versions: list[dict[str, Any]],
    secret: Path,
    workers: int,
    listen: events.Listener,
) -> "Opened":
    from curate.audit.opened import open_mix
    from curate.run.build import build

    out = place / "mixes"
    order = Order(
        recipe=recipe,
        store=Store(store),
        out=out,
        record=place / "manifests",
        workers=workers,
        locked=True,
    )
    base = build(order, listen)
    name = mix.manifest["name"]
    if name not in base.mixes:
        raise IntegrityError(f"{recipe} does not make {name}")
    folder = base.mixes[name]
    for patch in versions:
        folder = _patch(open_mix(folder), patch, recipe, store, secret, mix)
    return open_mix(folder)


def _patch(
    made: "Opened", patch: dict[str, Any], recipe: Path, store: Path, secret: Path, mix: "Opened"
) -> Path:
    """Apply one patch of the log to what was rebuilt; returns the folder of the next version."""
    from curate.run.job import open_job
    from curate.run.remove import Request, remove, siblings

    log = patch["log"] + _logs_beside(mix, patch["version"])
    key = removals.secret_of(secret, create=False)
    wanted = {entry["removed"] for entry in log}
    mixes = siblings(made)
    keys = {k for m in mixes for k in _documents(m) if removals.keyed(key, "id", k) in wanted}
    modes = {entry["mode"] for entry in log if not entry.get("holdout")}
    reason = log[0]["reason"] if log else "none"
    request = Request(
        [f"key:{k.hex()}" for k in sorted(keys)] or ["key:" + "0" * 32],
        reason,
        close=modes == {"close"},
        version=patch["version"],
    )
    job = open_job(recipe, store=Store(store), locked=True)
    remove(mixes, request, job=job, recipe=recipe, secret=secret, note=False)
    version: str = patch["version"]
    return made.folder.resolve().parent / version


def _logs_beside(mix: "Opened", version: str) -> list[dict[str, Any]]:
    """What the same version took out of the other arms: substitutes depend on all of them."""
    found: list[dict[str, Any]] = []
    for path in sorted(
        mix.folder.resolve().parent.parent.glob(f"*/{version}/{manifest.FILE_NAME}")
    ):
        try:
            facts = manifest.load(path.parent)
        except CurateError:
            continue
        if facts["origin"]["recipe"]["sha256"] == mix.origin["recipe"]["sha256"]:
            holdout = facts["origin"]["arm"]["name"] == "holdout"
            log = manifest.listed(facts["origin"].get("removals", []), path.parent)
            found += [{**e, "holdout": holdout} for e in log if e["version"] == version]
    return found


def _documents(mix: "Opened") -> set[bytes]:
    """Keys of all documents of a mix; of a piece, the document's."""
    from curate.audit.texts import pieces
    from curate.document import key as key_of

    spans = mix.spans().select("key", "id", "url").collect()
    piece = pieces(spans)
    bases = spans.filter(piece)["id"].str.replace(r"#[0-9]+$", "").unique()
    return {*spans.filter(~piece)["key"].to_list(), *(key_of(base) for base in bases)}


def _compare(mix: "Opened", made: "Opened") -> list[Finding]:
    if mix.manifest["content_id"] == made.manifest["content_id"]:
        return []
    found = changes(mix.content, made.content)
    return [
        Finding(
            "rebuild",
            manifest.FILE_NAME,
            f"content.{change['field']}",
            f"is {change.get('a', '(none)')}, built again {change.get('b', '(none)')}",
        )
        for change in found[:MAX_CHANGES]
    ]
