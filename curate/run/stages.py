"""
Turn what a job still lacks into the tasks of each stage.

    read      one task per input file    → documents parts
    tag       one task per part, tagger  → tag parts
    calibrate one task per source, dear tagger → tag parts of a sample, and calibrated scores
    tokenize  one task per part          → token pool parts
    write     one task per arm           → a finished mix

A task whose receipt is there is not made again. Big tasks go first, so that the last one running
is a small one; no result depends on the order.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from curate import readers, taggers, tokens
from curate.lock import Input
from curate.run.job import Job
from curate.run.steps import Progress, Step
from curate.store import read_receipt
from curate.tokenizer import Tokenizer


@dataclass
class Tasks:
    """The tasks of one stage: names, amounts of work in `unit`, and the step that does them."""

    stage: str
    unit: str
    step: Step
    names: list[str] = field(default_factory=list)
    amounts: list[int] = field(default_factory=list)
    n_done: int = 0  # tasks finished before


class Read(Step):
    """Task i: read inputs i of `inputs`, one or several as one, into documents parts."""

    name = "read"

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[tuple[list[Input], dict[str, Any], Path]] = []

    def run_task(self, rank: int, progress: Progress) -> None:
        """Read one input file, or those that are to be joined."""
        items, declaration, out = self.inputs[rank]
        if len(items) > 1:
            named = [(item.name, item.sha256) for item in items]
            readers.read_joined(named, declaration, out=out, progress=progress)
            return
        (item,) = items
        readers.read_input(
            item.name, declaration, input_sha256=item.sha256, out=out, progress=progress
        )


class Tag(Step):
    """Task i: tag part i of `parts`."""

    name = "tag"

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[Path, str, dict[str, Any], Path]] = []

    def run_task(self, rank: int, progress: Progress) -> None:
        """Tag one part with one tagger."""
        documents, part, declaration, out = self.parts[rank]
        taggers.tag_part(documents, declaration, out=out, part=part, progress=progress)


class Calibrate(Step):
    """Task i: calibrate a cheap tagger over one source by a dear one on a sample."""

    name = "calibrate"

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[tuple[list[tuple[str, Path, Path]], dict[str, Any], Path]] = []

    def run_task(self, rank: int, progress: Progress) -> None:
        """Calibrate over one source."""
        parts, declaration, out = self.sources[rank]
        taggers.calibrate_source(parts, declaration, out=out, progress=progress)


class Tokenize(Step):
    """Task i: tokenize part i of `parts`."""

    name = "tokenize"

    def __init__(self, tokenizer: Tokenizer, max_document_tokens: int | None) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.max_document_tokens = max_document_tokens
        self.parts: list[tuple[Path, str, Path]] = []

    def run_task(self, rank: int, progress: Progress) -> None:
        """Tokenize one part into the pool."""
        documents, part, out = self.parts[rank]
        tokens.encode_part(
            documents,
            self.tokenizer,
            max_document_tokens=self.max_document_tokens,
            out=out,
            part=part,
            progress=progress,
        )


def read_tasks(job: Job) -> Tasks:
    """Inputs without a receipt."""
    step = Read()
    tasks = Tasks("read", "B", step)
    waiting = []
    for source in job.recipe.sources:
        for sha256, items in job.readings(source):
            if read_receipt(job.documents(source), sha256[:16]) is not None:
                tasks.n_done += 1
            else:
                waiting.append((sum(item.n_bytes for item in items), source, items))
    for n_bytes, source, items in sorted(waiting, key=lambda w: (-w[0], w[1], w[2][0].name)):
        more = f" and {len(items) - 1} more" if len(items) > 1 else ""
        step.inputs.append((items, job.readers[source], job.documents(source)))
        tasks.names.append(f"{source}: {items[0].name}{more}")
        tasks.amounts.append(n_bytes)
    return tasks


def check_rejected(job: Job, limit: Fraction) -> None:
    """InputError if of any input more than `limit` of its records or bytes were rejected."""
    for source in job.recipe.sources:
        for sha256, items in job.readings(source):
            receipt = read_receipt(job.documents(source), sha256[:16])
            if receipt is not None:
                readers.check_rejected(receipt, name=items[0].name, limit=limit)


def tag_tasks(job: Job) -> Tasks:
    """Parts that some tagger has not seen."""
    step = Tag()
    tasks = Tasks("tag", " documents", step)
    for source, part, n_documents in _parts(job):
        for tagger, declaration in job.taggers.items():
            if "calibrates" in declaration:
                continue
            out = job.tags(source, tagger)
            if read_receipt(out, part) is not None:
                tasks.n_done += 1
                continue
            documents = job.documents(source) / f"{part}.parquet"
            step.parts.append((documents, part, declaration, out))
            tasks.names.append(f"{tagger} of {source}: {part}")
            tasks.amounts.append(n_documents)
    return tasks


def calibrate_tasks(job: Job) -> Tasks:
    """Sources over which some dear tagger has not calibrated a cheap one."""
    step = Calibrate()
    tasks = Tasks("calibrate", " documents", step)
    dear = {name: told for name, told in job.taggers.items() if "calibrates" in told}
    for name, declaration in dear.items():
        for source in sorted(job.recipe.sources):
            out = job.tags(source, name)
            names = job.part_names(source)
            if all(read_receipt(out, part) is not None for part in names):
                tasks.n_done += 1
                continue
            documents, cheap = job.documents(source), job.tags(source, declaration["calibrates"])
            parts = [(n, documents / f"{n}.parquet", cheap / f"{n}.parquet") for n in names]
            step.sources.append((parts, declaration, out))
            tasks.names.append(f"{declaration['calibrates']} of {source} by {name}")
            tasks.amounts.append(declaration["sample"])
    return tasks


def tokenize_tasks(job: Job) -> Tasks:
    """Parts that are not in the token pool."""
    step = Tokenize(job.tokenizer, job.recipe.tokenizer.max_document_tokens)
    tasks = Tasks("tokenize", " documents", step)
    for source, part, n_documents in _parts(job):
        out = job.tokens(source)
        if read_receipt(out, part) is not None:
            tasks.n_done += 1
            continue
        step.parts.append((job.documents(source) / f"{part}.parquet", part, out))
        tasks.names.append(f"{source}: {part}")
        tasks.amounts.append(n_documents)
    return tasks


def _parts(job: Job) -> list[tuple[str, str, int]]:
    """(source, part, n_documents) of every part of every source, big ones first."""
    found = {}
    for source in job.recipe.sources:
        for sha256, items in job.readings(source):
            receipt = read_receipt(job.documents(source), sha256[:16])
            if receipt is None:
                raise RuntimeError(f"{items[0].name} has no receipt after the read stage")
            for part in receipt["parts"]:
                found[source, part["name"]] = part["n_documents"]
    rows = [(source, part, n) for (source, part), n in found.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))
