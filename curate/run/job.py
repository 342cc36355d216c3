"""
Turn a recipe and its lock into everything a build, a plan or a check must know beforehand.

A `Job` holds declarations only: which inputs, which folders of the store, which tokenizer and
taggers. It opens no dump and starts no work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate import lock as locks
from curate import readers, recipe, taggers, tokenizer, tokens
from curate.errors import InfeasibleError, UsageError
from curate.fingerprint import fingerprint
from curate.store import Part, Store, read_receipt


@dataclass(frozen=True)
class Job:
    """A recipe with everything it names resolved."""

    recipe: recipe.Recipe
    lock: locks.Lock
    store: Store
    tokenizer: tokenizer.Tokenizer
    readers: Mapping[str, dict[str, Any]]  # source → declaration
    taggers: Mapping[str, dict[str, Any]]  # tagger → declaration

    def documents(self, source: str) -> Path:
        """Folder of a source's documents."""
        return self.store.documents(source, fingerprint(self.readers[source]))

    def tags(self, source: str, tagger: str) -> Path:
        """Folder of a tagger's columns about a source."""
        declared = taggers.identity(self.taggers[tagger])
        if "calibrates" in declared:
            # A calibrated score rests on a sample of the whole source, not of one part.
            declared["parts"] = self.part_names(source)
        return self.store.tags(
            source, fingerprint(self.readers[source]), tagger, fingerprint(declared)
        )

    def tokens(self, source: str) -> Path:
        """Folder of a source's token pool."""
        declared = fingerprint(self.tokens_declaration)
        return self.store.tokens(
            source, fingerprint(self.readers[source]), self.tokenizer.name, declared
        )

    @property
    def tokens_declaration(self) -> dict[str, Any]:
        """What the tokenize stage was told."""
        limit = self.recipe.tokenizer.max_document_tokens
        return tokens.declare(self.tokenizer, max_document_tokens=limit)

    def readings(self, source: str) -> list[tuple[str, list[locks.Input]]]:
        """What of a source is read as one: (sha256 that names receipt and parts, its inputs)."""
        distinct = {item.sha256: item for item in self.lock.of(source)}
        if self.readers[source].get("join") and len(distinct) > 1:
            joint = readers.joined_sha256(list(distinct))
            return [(joint, [distinct[sha256] for sha256 in sorted(distinct)])]
        return [(sha256, [item]) for sha256, item in distinct.items()]

    def part_names(self, source: str) -> list[str]:
        """Names of the parts of a source's locked inputs, in order; InfeasibleError if unread."""
        names: list[str] = []
        for sha256, items in self.readings(source):
            receipt = read_receipt(self.documents(source), sha256[:16])
            if receipt is None:
                raise _no_pools(self.recipe.path, f"{source}: {items[0].name} has not been read")
            names += [part["name"] for part in receipt["parts"]]
        return sorted(names)

    def parts(self, source: str) -> list[Part]:
        """The parts of a source with all their files; InfeasibleError if one lacks."""
        found = []
        for name in self.part_names(source):
            folders = [self.tokens(source), *(self.tags(source, t) for t in self.taggers)]
            for folder in folders:
                if read_receipt(folder, name) is None:
                    what = f"{source}: part {name} is not yet in {folder.name}"
                    raise _no_pools(self.recipe.path, what)
            found.append(
                Part(
                    source=source,
                    name=name,
                    documents=self.documents(source) / f"{name}.parquet",
                    tags=tuple(self.tags(source, t) / f"{name}.parquet" for t in self.taggers),
                    pool=self.tokens(source) / f"{name}.parquet",
                    ids=self.tokens(source) / f"{name}.ids",
                )
            )
        return found


def memory(store: Store) -> locks.Memory:
    """What the store remembers of the digests of local files."""
    return locks.Memory(store.root / "inputs.json")


def models_of(loaded: recipe.Recipe) -> tuple[dict[str, Any], ...]:
    """What a lock says of the models of a recipe's taggers, as they are now."""
    return tuple(
        {"tagger": name, **model}
        for name, declared in tagger_declarations(loaded).items()
        for model in taggers.models(declared)
    )


def resolve(
    path: Path, *, store: Store, locked: locks.Lock | None = None
) -> tuple[recipe.Recipe, locks.Lock, tokenizer.Tokenizer]:
    """
    Load a recipe and resolve its inputs, tokenizer and models as they are now.

    A tokenizer of the Hub is taken from the commit in `locked`, if that is of the same name.
    """
    loaded = recipe.load(path)
    told = loaded.tokenizer
    known = {} if locked is None else locked.tokenizer
    commit = known.get("revision") if known.get("file") == told.file else None
    vocabulary = tokenizer.load(told.file, eos=told.eos, bos=told.bos, revision=commit)
    remembered = memory(store)
    inputs = tuple(
        locks.resolve(source.name, name, remembered)
        for source in loaded.sources.values()
        for name in locks.expand(source.name, source.files)
    )
    remembered.save()
    found = locks.Lock(
        inputs=inputs,
        tokenizer={
            "file": told.file,
            **({"revision": vocabulary.revision} if vocabulary.revision else {}),
            "sha256": vocabulary.sha256,
            "n_vocab": vocabulary.n_vocab,
            "eos_id": vocabulary.eos_id,
            "probe": list(vocabulary.probe),
        },
        models=models_of(loaded),
    )
    return loaded, found, vocabulary


def open_job(path: Path, *, store: Store, locked: bool = False) -> Job:
    """
    Resolve a recipe and hold it to its lock; without a lock, write one (unless `locked`).

    Raises IntegrityError if an input, the tokenizer or a model is not the locked one.
    """
    there = locks.load(path)
    loaded, found, vocabulary = resolve(path, store=store, locked=there)
    if there is None:
        if locked:
            raise UsageError(
                f"there is no {locks.path_of(path).name}", hint=f"Make it with: curate lock {path}"
            )
        write_lock(path, found)
        there = found
    locks.check(there, found, recipe=path)
    return Job(
        recipe=loaded,
        lock=there,
        store=store,
        tokenizer=vocabulary,
        readers=reader_declarations(loaded),
        taggers=tagger_declarations(loaded),
    )


def open_read_job(path: Path, *, store: Store) -> Job:
    """
    Open a job that asks for pools which are there, without asking a network for anything first.

    Raises InfeasibleError if nothing of some source has been read into the store.
    """
    for source, declared in reader_declarations(recipe.load(path)).items():
        if not store.documents(source, fingerprint(declared)).is_dir():
            raise _no_pools(path, f"{source} has not been read")
    return open_job(path, store=store)


def write_lock(path: Path, found: locks.Lock) -> None:
    """Write the lock beside a recipe."""
    from curate import files

    files.write_bytes(locks.path_of(path), found.to_toml().encode())


def reader_declarations(loaded: recipe.Recipe) -> dict[str, dict[str, Any]]:
    """Source name → canonical declaration of its reader."""
    return {
        source.name: readers.declare(source.reader, source.options, where=f"[source.{source.name}]")
        for source in loaded.sources.values()
    }


def tagger_declarations(loaded: recipe.Recipe) -> dict[str, dict[str, Any]]:
    """Tagger name → canonical declaration, those that calibrate others last."""
    tables = {name: told.options for name, told in loaded.taggers.items()}
    return taggers.declare_all(tables, where=loaded.path.name)


def _no_pools(path: Path, what: str) -> InfeasibleError:
    return InfeasibleError(
        f"there are no pools to plan from: {what}",
        hint=f"Make them: curate build {path} --until tokenize\n"
        "  or plan from stated sizes: curate plan … --assume SOURCE=TOKENS",
    )
