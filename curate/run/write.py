"""
Turn a plan into finished mix folders, one task per arm.

A mix is written in `.tmp-<version>` beside its place. Its manifest comes last; then the folder is
compared with what is there already and renamed. A version that exists with another content is
never replaced.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate import files, manifest, mixing, shards
from curate.errors import IntegrityError
from curate.recipe import Recipe
from curate.run import events, removals
from curate.run.estimates import Scored, estimates_of, scored_by
from curate.run.job import Job
from curate.run.order import Order, manifest_id, mix_names
from curate.run.origin import origin_of
from curate.run.seal import seal
from curate.run.steps import Progress, Step, run_step
from curate.run.workers import Crew
from curate.store import Part, read_receipt, write_receipt
from curate.tokenizer import Tokenizer


@dataclass(frozen=True)
class Dropped:
    """What is needed to list the documents that are not in a mix: what the plan was made from."""

    recipe: Recipe
    parts: Mapping[str, Sequence[Part]]
    bos: bool
    removed: removals.Matcher

    def write(self, staging: Path, *, plan: Path, stem: str) -> None:
        """Write dropped.parquet (docs/format.md §5.8)."""
        table = mixing.dropped(
            self.recipe,
            self.parts,
            plan=plan,
            stem=stem,
            bos=self.bos,
            work=staging / f"{files.TEMPORARY_PREFIX}dropped",
            removed=self.removed.matches if self.removed else None,
        )
        with files.replacing(staging / "dropped.parquet") as temporary:
            table.write_parquet(
                temporary, compression="zstd", compression_level=3, row_group_size=131_072
            )


class WriteMix(Step):
    """Task i: write arm i of a plan into its staging folder, manifest last."""

    name = "write"

    def __init__(
        self,
        plan: Path,
        parts: Sequence[Part],
        tokenizer: Tokenizer,
        licenses: Mapping[str, str],
        options: Mapping[str, Any],
        link: str,
        scored: Sequence[Scored],
        dropped: "Dropped | None" = None,
    ) -> None:
        super().__init__()
        self.plan = plan
        self.parts = list(parts)
        self.tokenizer = tokenizer
        self.licenses = dict(licenses)
        self.options = dict(options)
        self.link = link
        self.scored = list(scored)
        self.dropped = dropped
        self.arms: list[dict[str, Any]] = []

    def run_task(self, rank: int, progress: Progress) -> None:
        """Write one mix, whole, beside its place."""
        arm = self.arms[rank]
        staging: Path = arm["staging"]
        files.remove(staging)
        files.make_folder(staging)
        content = shards.write_mix(
            plan=self.plan,
            arm=arm["stem"],
            facts=arm["facts"],
            parts=self.parts,
            tokenizer=self.tokenizer,
            licenses=self.licenses,
            out=staging,
            link=self.link,
            siblings=arm["siblings"],
            progress=progress,
            **{**self.options, "seed": arm["facts"]["seed"]},
        )
        if self.dropped is not None:
            self.dropped.write(staging, plan=self.plan, stem=arm["stem"])
        seal(
            staging,
            name=arm["mix"],
            version=arm["version"],
            content=content,
            origin=arm["origin"],
            estimates=estimates_of(staging / "spans.parquet", self.scored, seed=content["seed"]),
        )


def write_mixes(
    job: Job,
    order: Order,
    plan: tuple[Path, Mapping[str, Any]],
    crew: Crew,
    listen: events.Listener,
) -> tuple[dict[str, Path], dict[str, str]]:
    """Write what is missing of a plan's mixes; returns their folders and manifest ids by name."""
    folder, facts = plan
    version = job.recipe.version
    arms = _arms(job, facts)
    places = {arm["mix"]: order.out / arm["mix"] / version for arm in arms}
    for place in places.values():
        files.make_folder(place.parent)
    missing = [arm for arm in arms if not _is_written(folder, arm, places[arm["mix"]])]
    total = sum(arm["facts"]["n_tokens"] for arm in missing)
    listen(events.Started("write", total, " tokens", len(missing), len(arms) - len(missing)))
    parts = {source: job.parts(source) for source in sorted(job.recipe.sources)}
    step = WriteMix(
        folder,
        [part for found in parts.values() for part in found],
        job.tokenizer,
        {source.name: source.license for source in job.recipe.sources.values()},
        {"layout": facts["layout"]},
        order.link,
        scored_by(job),
        _dropped(job, parts) if job.recipe.mix.dropped else None,
    )
    by_source = facts["layout"] == "by-source"
    for arm in missing:
        place = places[arm["mix"]]
        arm["staging"] = place.parent / f"{files.TEMPORARY_PREFIX}{version}"
        arm["version"] = version
        arm["origin"] = origin_of(job, facts, arm["facts"], arm["stem"])
        arm["siblings"] = [p for p in places.values() if p != place] if by_source else []
        step.arms.append(arm)

    def place_arm(rank: int) -> None:
        arm = step.arms[rank]
        made = _place(arm["staging"], places[arm["mix"]], order.record, arm["mix"], version)
        write_receipt(folder, f"{arm['stem']}.written", {"id": made, "mix": arm["mix"]})

    if missing:
        run_step(
            step,
            tasks=len(missing),
            # Arms that share files are written one after the other, so that each finds the last.
            crew=Crew(1) if by_source else crew,
            logging_dir=order.store.root / "logs" / "write",
            name_of=lambda rank: f"write {step.arms[rank]['mix']}",
            progress=lambda n: listen(events.Advanced("write", n)),
            done=place_arm,
        )
    listen(events.Finished("write"))
    for arm in arms:
        _record(places[arm["mix"]], order.record, arm["mix"], version)
    return places, {mix: str(manifest_id(place)) for mix, place in places.items()}


def _dropped(job: Job, parts: Mapping[str, Sequence[Part]]) -> Dropped:
    secret = job.store.root / removals.KEY_FILE
    removed = removals.matcher(job.recipe.path, job.recipe.version, secret)
    return Dropped(job.recipe, parts, job.tokenizer.bos_id is not None, removed)


def _arms(job: Job, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What to write: plan file stem, mix name and facts; the biggest first."""
    names = mix_names(job.recipe)
    arms = [
        {"stem": arm["name"] or "mix", "facts": arm, "mix": names[arm["name"] or "mix"]}
        for arm in facts["arms"]
    ]
    if "holdout" in facts:
        arms.append({"stem": "holdout", "facts": facts["holdout"], "mix": names["holdout"]})
    return sorted(arms, key=lambda arm: (-arm["facts"]["n_tokens"], arm["mix"]))


def _is_written(plan: Path, arm: Mapping[str, Any], place: Path) -> bool:
    receipt = read_receipt(plan, f"{arm['stem']}.written")
    return receipt is not None and receipt["id"] == manifest_id(place)


def _place(staging: Path, place: Path, record: Path, mix: str, version: str) -> str:
    """Move a finished folder to its place, unless its version is taken; returns the id there."""
    made = manifest.load(staging)
    taken = [
        ("the folder", place / "manifest.json"),
        ("the record", _record_path(record, mix, version)),
    ]
    for where, path in taken:
        if path.exists():
            there = manifest.load(path)
            if there["content_id"] != made["content_id"]:
                files.remove(staging)
                raise _other_content(mix, version, where, there["content"], made["content"])
    if (place / "manifest.json").exists():
        files.remove(staging)
        return str(manifest_id(place))
    files.remove(place)
    files.rename(staging, place)
    return str(made["id"])


def _record(place: Path, record: Path, mix: str, version: str) -> None:
    """Copy a manifest to the committed records if there is none of that version."""
    path = _record_path(record, mix, version)
    if not path.exists():
        files.write_bytes(path, (place / "manifest.json").read_bytes())


def _record_path(record: Path, mix: str, version: str) -> Path:
    return record / mix / f"{version}.json"


def _other_content(
    mix: str, version: str, where: str, was: Mapping[str, Any], now: Mapping[str, Any]
) -> IntegrityError:
    changed = [
        f"{field}: was {_short(a)}, would be {_short(b)}"
        for field, a, b in _differences("", was, now)
    ]
    more = [f"and {len(changed) - 12:,} more"] if len(changed) > 12 else []
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    advice = f"{major}.{int(minor) + 1}.0" if minor.isdigit() else f"{version}.1"
    return IntegrityError(
        f"{mix} {version} exists with another content in {where}",
        details=[*changed[:12], *more],
        hint=f'A version never changes: write version = "{advice}" in the recipe.',
    )


def _differences(where: str, was: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """(field, before, after) for every leaf of two JSON values that differs."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        names = [*was, *(name for name in now if name not in was)]
        return [
            leaf
            for name in names
            for leaf in _differences(f"{where}.{name}".lstrip("."), was.get(name), now.get(name))
        ]
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return [
            leaf
            for n, (a, b) in enumerate(zip(was, now, strict=True))
            for leaf in _differences(f"{where}[{n}]", a, b)
        ]
    return [] if was == now else [(where, was, now)]


def _short(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = "absent" if value is None else str(value)
    return text if len(text) <= 48 else text[:45] + "…"
