"""
Turn a recipe into finished mixes: whatever is missing is made, whatever is done is left alone.

    read → tag → tokenize → plan → write

Each stage asks the store's receipts what is left to do, so a build that was killed goes on, and a
build that is finished says so. Mixes appear whole: they are written in a hidden folder beside
their place and renamed when their manifest, written last, is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate import files, lock, recipe
from curate.fingerprint import digest, fingerprint
from curate.run import events, removals
from curate.run.order import Order, manifest_id, mix_names
from curate.run.workers import Crew, available
from curate.store import Store, read_receipt, write_receipt

STAGES = ("read", "tag", "tokenize", "plan", "write")

SMALL = 4 << 20
"""Bytes of inputs: less is done by one process before another has started."""


@dataclass
class Built:
    """What a build did: the mixes by name, and whether anything had to be made."""

    mixes: dict[str, Path] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    up_to_date: bool = False
    reached: str = "write"


def build(order: Order, listen: events.Listener = events.ignore) -> Built:
    """
    Make the mixes of a recipe.

    Raises IntegrityError if an input is not the locked one or a mix of that version holds
    something else, InputError if an input is damaged or more of its records were rejected than
    the order allows, InfeasibleError if the pools cannot give what is asked, DiskError.
    """
    with files.refusals_told(order.store.root, order.out), order.store.locked(wait=order.wait):
        done = finished(order)
        if done is not None:
            return done
        from curate.run import job as jobs
        from curate.run import thresholds
        from curate.run.stages import check_rejected

        job = jobs.open_job(order.recipe, store=order.store, locked=order.locked)
        built = Built(reached=order.until)
        with Crew(order.workers or _n_workers(job)) as crew:
            crew.prepare()
            for stage in STAGES[: STAGES.index(order.until) + 1]:
                if stage in ("read", "tag", "tokenize"):
                    _run_stage(job, stage, order, crew, listen)
                    if stage == "read":
                        check_rejected(job, order.max_rejected)
                    if stage == "tag":
                        _run_stage(job, "calibrate", order, crew, listen)
                elif stage == "plan":
                    crew.dismiss()
                    job = thresholds.resolved(job, locked=order.locked)
                    plan_of(job, listen)
                else:
                    from curate.run.write import write_mixes

                    plan = plan_of(job, listen)
                    built.mixes, built.ids = write_mixes(job, order, plan, crew, listen)
                    facts = {"mixes": built.ids, "tokenizer": job.tokenizer.file_sha256}
                    write_receipt(_builds(order), _line(order), facts)
        return built


def _n_workers(job: Any) -> int:
    """One per core; one in all for what takes less time than starting others."""
    slow = any(told["kind"] == "detoxify" for told in job.taggers.values())
    n_bytes = sum(item.n_bytes for item in job.lock.inputs)
    return available() if slow or n_bytes >= SMALL else 1


def finished(order: Order) -> Built | None:
    """The result of this very build if nothing about it changed since, else None."""
    if order.until != "write" or lock.load(order.recipe) is None:
        return None
    facts = read_receipt(_builds(order), _line(order))
    if facts is None:
        return None
    loaded = recipe.load(order.recipe)
    mixes = {name: order.out / name / loaded.version for name in mix_names(loaded).values()}
    if set(mixes) != set(facts["mixes"]) or not _inputs_unchanged(order, loaded):
        return None
    if not _tokenizer_unchanged(loaded.tokenizer.file, facts.get("tokenizer", "")):
        return None
    for name, folder in mixes.items():
        if manifest_id(folder) != facts["mixes"][name]:
            return None
    return Built(mixes=mixes, ids=facts["mixes"], up_to_date=True)


def _secret(store: Store) -> Path:
    """The key that tells which documents were taken down."""
    return store.root / removals.KEY_FILE


def _builds(order: Order) -> Path:
    return order.store.root / "builds"


def _line(order: Order) -> str:
    """The name of a build: what was declared and where the mixes go."""
    from curate import mixing, readers, shards, taggers, tokens

    declared = {
        "recipe": digest(order.recipe.read_bytes()),
        "lock": digest(lock.path_of(order.recipe).read_bytes()),
        "out": str(order.out.resolve()),
        "formats": [m.FORMAT for m in (readers, taggers, tokens, mixing, shards)],
    }
    if removals.path_of(order.recipe).exists():
        version = recipe.load(order.recipe).version
        removed = removals.matcher(order.recipe, version, _secret(order.store))
        declared["removed"] = removed.digest
    return f"{order.recipe.stem}@{fingerprint(declared)}"


def _inputs_unchanged(order: Order, loaded: recipe.Recipe) -> bool:
    from curate.run.job import memory, models_of

    locked = lock.load(order.recipe)
    if locked is None or locked.models != models_of(loaded):
        return False
    remembered = memory(order.store)
    names = {
        (source.name, name)
        for source in loaded.sources.values()
        for name in lock.expand(source.name, source.files)
    }
    return names == {(i.source, i.name) for i in locked.inputs} and all(
        lock.is_url(i.name) or remembered.sha256_of(Path(i.name)) == i.sha256 for i in locked.inputs
    )


def _tokenizer_unchanged(file: str, sha256: str) -> bool:
    """Whether a tokenizer's file has the bytes it had; what is no path is pinned by its name."""
    if file.startswith(("builtin:", "tiktoken:", "hf://")):
        return True
    return Path(file).is_file() and files.sha256_of(Path(file)) == sha256


def _run_stage(job: Any, stage: str, order: Order, crew: Crew, listen: events.Listener) -> None:
    from curate.run import stages
    from curate.run.steps import run_step

    make = {
        "read": stages.read_tasks,
        "tag": stages.tag_tasks,
        "calibrate": stages.calibrate_tasks,
        "tokenize": stages.tokenize_tasks,
    }[stage]
    tasks = make(job)
    listen(events.Started(stage, sum(tasks.amounts), tasks.unit, len(tasks.names), tasks.n_done))
    if tasks.names:
        run_step(
            tasks.step,
            tasks=len(tasks.names),
            crew=crew,
            logging_dir=order.store.root / "logs" / stage,
            name_of=lambda rank: f"{stage} {tasks.names[rank]}",
            progress=lambda n: listen(events.Advanced(stage, n)),
        )
    listen(events.Finished(stage))


def plan_of(job: Any, listen: events.Listener = events.ignore) -> tuple[Path, Mapping[str, Any]]:
    """The folder and the facts of a job's plan, made if it is not there (no pools: exit 5)."""
    import orjson

    from curate import mixing, taggers

    parts = {source: job.parts(source) for source in job.recipe.sources}
    declared = {
        "format": mixing.FORMAT,
        "recipe": digest(job.recipe.text.encode()),
        "tokens": fingerprint(job.tokens_declaration),
        "taggers": {name: taggers.identity(told) for name, told in job.taggers.items()},
        "readers": {name: fingerprint(told) for name, told in job.readers.items()},
        "parts": {source: [part.name for part in found] for source, found in parts.items()},
        "resolved": dict(job.lock.resolved),
    }
    removed = removals.matcher(job.recipe.path, job.recipe.version, _secret(job.store))
    if removed:
        declared["removed"] = removed.digest
    folder = job.store.plans(job.recipe.name, fingerprint(declared))
    path = folder / "plan.json"
    if not path.exists():
        files.make_folder(folder)
        total = sum(len(found) for found in parts.values())
        listen(events.Started("plan", total, " parts", total, 0))
        mixing.make_plan(
            job.recipe,
            parts,
            out=folder,
            bos=job.tokenizer.bos_id is not None,
            progress=lambda n: listen(events.Advanced("plan", n)),
            removed=removed.matches if removed else None,
        )
        listen(events.Finished("plan"))
    facts: dict[str, Any] = orjson.loads(path.read_bytes())
    return folder, facts
