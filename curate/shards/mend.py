"""
Turn a mix folder that lost its links or sidecars on the way into a whole one again.

A download often brings one of a shard's three names, or none of its sidecars. The ids are the
mix; everything else follows from them and from spans.parquet, and must have the digest that
SHA256SUMS gives it.
"""

from pathlib import Path

from curate import files
from curate.errors import IntegrityError
from curate.fingerprint import digest
from curate.mix import Mix
from curate.shards import sidecars
from curate.shards.shard_files import TOKENIZER, link_names
from curate.shards.sums import ID_SUFFIXES, digests


def mend(mix: Mix, link: str = "hard") -> list[str]:
    """
    Make the missing names and sidecars of every shard; returns what was made, in order.

    Raises IntegrityError if a shard has none of its names, or a sidecar would not have its digest.
    """
    made: list[str] = []
    folder = mix.folder / "shards"
    for number, shard in enumerate(mix.shards):
        stem = folder / shard["name"]
        names = [stem.with_name(stem.name + suffix) for suffix in ID_SUFFIXES]
        there = [path for path in names if path.exists()]
        if not there:
            raise IntegrityError(
                f"shard {shard['name']} of {mix.title} is missing",
                hint="Fetch its .npy again: nothing else can be made without it.",
            )
        made += _names(names, there[0], link)
        made += _sidecars(mix, number, stem)
    return made


def _names(names: list[Path], there: Path, link: str) -> list[str]:
    missing = [path for path in names if not path.exists()]
    if names[0] in missing:
        files.rename(there, names[0])  # the .npy is the file, the others are links to it
    if missing:
        link_names(names[0], link)
    return [f"shards/{path.name}" for path in missing]


def _sidecars(mix: Mix, number: int, stem: Path) -> list[str]:
    suffixes = [s for s in sidecars.SUFFIXES if s not in ID_SUFFIXES]
    missing = [s for s in suffixes if not stem.with_name(stem.name + s).exists()]
    if not missing:
        return []
    known = digests(mix.folder)
    first, end = mix.first_spans[number : number + 2].tolist()
    spans = mix.spans().slice(first, end - first).collect()
    lengths = spans["n_tokens"].cast(int).to_numpy()
    table = sidecars.DocumentTable()
    table.add(spans)
    n_tokens, dtype = mix.shards[number]["n_tokens"], mix.dtype.name
    contents = {
        ".idx": sidecars.megatron_index(lengths, dtype),
        ".ds.index": sidecars.datatrove_index(lengths),
        ".ds.metadata": sidecars.datatrove_metadata(TOKENIZER, dtype, n_tokens),
        ".csv.gz": table.close(),
    }
    made = []
    for suffix in missing:
        name = f"shards/{stem.name}{suffix}"
        if known.get(name) != digest(contents[suffix]):
            raise IntegrityError(
                f"{name} of {mix.title} cannot be made again: it would not have its digest",
                details=["spans.parquet is not the one of this mix, or zlib is another"],
                hint="Fetch the file itself.",
            )
        files.write_bytes(mix.folder / name, contents[suffix])
        made.append(name)
    return made
