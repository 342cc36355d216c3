"""Turn `curate tokenizer train | show | check` into a tokenizer and what is known of it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from curate.cli import console
from curate.cli.options import json_option, store_option

if TYPE_CHECKING:
    from curate.store import Store

FILE = click.argument("file", metavar="FILE")
EOS = click.option(
    "--eos", default="<|endoftext|>", show_default=True, help="Token after every document."
)
BOS = click.option("--bos", default=None, help="Token before every document; most have none.")


@click.group()
def command() -> None:
    """Train, show and check tokenizers."""


@command.command()
@click.argument(
    "recipe", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--out", "file", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The tokenizer.json to write.",
)  # fmt: skip
@click.option(
    "--n-vocab", type=click.IntRange(min=256), required=True, help="Entries, with specials."
)
@click.option(
    "--special", multiple=True, help="A special token; again for more. [default: end of text, pad]"
)
@click.option(
    "--source", "sources", multiple=True, help="Only this source of RECIPE; again for more."
)
@click.option(
    "--one-in", type=click.IntRange(min=1), default=1, show_default=True,
    help="Take one document in so many, by its key.",
)  # fmt: skip
@click.option(
    "--text-file", "texts", multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A UTF-8 file as one more text; again for more.",
)  # fmt: skip
@store_option
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
def train(
    recipe: Path | None,
    file: Path,
    n_vocab: int,
    special: tuple[str, ...],
    sources: tuple[str, ...],
    one_in: int,
    texts: tuple[Path, ...],
    store: Path,
    force: bool,
    as_json: bool,
) -> None:
    """
    Train byte-level BPE on the documents of RECIPE: the same bytes for the same documents.

    Inputs that the store does not hold yet are read into it first.

    \b
    curate tokenizer train recipes/demo.toml --n-vocab 4096 --out demo.json
    """
    from curate import files
    from curate.errors import UsageError
    from curate.store import Store
    from curate.tokens import train as training

    if recipe is None and not texts:
        raise UsageError("nothing to train on", hint="Give a RECIPE, or --text-file FILE.")
    if file.exists() and not force:
        raise UsageError(f"{file} is already there", hint="Add --force to replace it.")
    parts = [] if recipe is None else _documents(recipe, Store(store), sources)
    corpus = training.Corpus(parts, list(texts), one_in)
    data = training.train_tokenizer(
        corpus, n_vocab=n_vocab, special_tokens=special or training.SPECIAL_TOKENS
    )
    files.write_bytes(file, data)
    result = {
        "file": str(file),
        "sha256": files.sha256_of(file),
        "n_vocab": n_vocab,
        "n_documents": corpus.n_documents,
        "n_bytes": corpus.n_bytes,
    }
    console.emit(
        result,
        as_json=as_json,
        text=(
            f"{file}  {n_vocab:,} entries from {corpus.n_documents:,} documents, "
            f"{corpus.n_bytes:,} bytes\nsha256 {result['sha256']}"
        ),
    )


def _documents(recipe: Path, store: "Store", only: tuple[str, ...]) -> list[Path]:
    """The documents parts of a recipe's sources, read into the store where they are not yet."""
    from curate import lock, readers
    from curate import recipe as recipes
    from curate.errors import UsageError
    from curate.fingerprint import fingerprint
    from curate.run import job
    from curate.store import read_receipt

    loaded = recipes.load(recipe)
    unknown = sorted(set(only) - set(loaded.sources))
    if unknown:
        raise UsageError(
            f"{recipe} has no source {unknown[0]!r}",
            hint=f"Its sources are {', '.join(sorted(loaded.sources))}.",
        )
    remembered = job.memory(store)
    found: dict[Path, None] = {}
    with store.locked():
        for name, source in sorted(loaded.sources.items()):
            if only and name not in only:
                continue
            declared = readers.declare(source.reader, source.options, where=f"[source.{name}]")
            folder = store.documents(name, fingerprint(declared))
            for uri in lock.expand(name, source.files):
                item = lock.resolve(name, uri, remembered)
                facts = read_receipt(folder, item.sha256[:16])
                if facts is None:
                    with console.bar(f"read {name}", item.n_bytes, "B") as advance:
                        facts = readers.read_input(
                            item.name,
                            declared,
                            input_sha256=item.sha256,
                            out=folder,
                            progress=advance,
                        )
                found.update(dict.fromkeys(folder / f"{p['name']}.parquet" for p in facts["parts"]))
        remembered.save()
    return list(found)


@command.command()
@FILE
@EOS
@BOS
@json_option
def show(file: str, eos: str, bos: str | None, as_json: bool) -> None:
    """
    Show what a tokenizer is: digest, vocabulary, width, EOS, engine, probe.

    \b
    curate tokenizer show builtin:demo
    curate tokenizer show tiktoken:gpt2 --json
    """
    from curate import tokenizer
    from curate.tokens import engines

    loaded = tokenizer.load(file, eos=eos, bos=bos)
    engine, reason = engines.choose(loaded, "auto")
    added = [
        {"token": t["content"], "id": t["id"], "special": t["special"]}
        for t in tokenizer.added_tokens(loaded.json)
    ]
    result = {
        "name": loaded.name,
        "sha256": loaded.sha256,
        "file_sha256": loaded.file_sha256,
        "n_vocab": loaded.n_vocab,
        "dtype": loaded.dtype,
        "eos": {"token": loaded.eos_token, "id": loaded.eos_id},
        "bos": None if bos is None else {"token": bos, "id": loaded.bos_id},
        "added_tokens": added,
        "engine": engine.name,
        "engine_reason": reason,
        "probe": list(loaded.probe),
    }
    lines = [
        f"{loaded.name}",
        f"  sha256      {loaded.sha256}",
        f"  vocabulary  {loaded.n_vocab:,} entries, {loaded.dtype}",
        f"  eos         {eos} = {loaded.eos_id:,}",
        f"  bos         {'none' if bos is None else f'{bos} = {loaded.bos_id:,}'}",
        f"  added       {len(added):,} tokens",
        f"  engine      {engine.name} {engine.version}{f' ({reason})' if reason else ''}",
        f"  probe       {len(loaded.probe):,} ids of {len(tokenizer.PROBE_TEXT.encode()):,} bytes",
    ]
    console.emit(result, as_json=as_json, text="\n".join(lines))


@command.command()
@FILE
@click.argument(
    "documents", nargs=-1, required=True, metavar="PART…",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)  # fmt: skip
@EOS
@BOS
@click.option(
    "--one-in", type=click.IntRange(min=1), default=1, show_default=True,
    help="Compare one document in so many, by its key.",
)  # fmt: skip
@json_option
def check(
    file: str,
    documents: tuple[Path, ...],
    eos: str,
    bos: str | None,
    one_in: int,
    as_json: bool,
) -> None:
    """
    Compare the fast engine with the reference, document by document, over PARTs of documents.

    Exits with 3 and the keys of the documents if a single id differs.

    \b
    curate tokenizer check builtin:demo store/documents/c4@*/*.parquet
    """
    from curate import tokenizer
    from curate.errors import IntegrityError
    from curate.tokens import parity

    loaded = tokenizer.load(file, eos=eos, bos=bos)
    with console.bar("check", parity.n_documents(documents), " documents") as advance:
        found = parity.compare_parts(documents, loaded, one_in=one_in, progress=advance)
    if found.wrong:
        raise IntegrityError(
            f"fastokens gives other ids than tokenizers for {len(found.wrong):,} of "
            f"{found.n_documents:,} documents",
            details=[f"document {key}" for key in found.wrong[:10]],
            hint="A build notices what it samples; to be sure, encode with the reference alone.",
        )
    console.emit(
        {
            "n_documents": found.n_documents,
            "n_tokens": found.n_tokens,
            "n_bytes": found.n_bytes,
            "n_mismatches": 0,
            "cpu_seconds": found.cpu_seconds,
        },
        as_json=as_json,
        text=(
            f"{found.n_documents:,} documents, {found.n_tokens:,} tokens: the same ids\n"
            + "\n".join(
                f"  {name:<11} {found.n_bytes / max(seconds, 1e-9) / 1e6:,.1f} MB per core-second"
                for name, seconds in found.cpu_seconds.items()
            )
        ),
    )
