"""Turn `curate init` into a commented recipe to start from."""

from pathlib import Path

import click

from curate.cli import console
from curate.cli.options import json_option

TEMPLATE = """\
# Clean web text held constant, a 4chan board added at several shares.
# Check it without data:  curate plan {file} --assume c4=30_000_000 --assume pol=5_000_000
# Make its mixes:         curate build {file}

name    = "{name}"
version = "1.0.0"                    # a mix is <name>-<arm>/<version>; versions never change
seed    = 7                          # the only thing that decides which documents come first

[tokenizer]
file = "builtin:demo"                # or a path, "hf://owner/name/tokenizer.json", "tiktoken:gpt2"
eos  = "<|endoftext|>"               # after every document; its id is looked up, never typed
# bos = "<|startoftext|>"            # before every document; none if left out
# max_document_tokens = 1_000_000    # longer documents become pieces

[source.c4]
reader  = "c4"                       # or "4chan", "jsonl", "parquet", "text", "warc"
files   = ["dumps/c4/*.json.gz"]     # paths, globs, or URLs: hf://, s3://, https://
license = "ODC-BY-1.0"

[source.pol]
reader   = "4chan"
files    = ["dumps/pol/*.ndjson.zst"]
document = "thread"                  # one document per thread; "post" for one per post
license  = "CC-BY-4.0"

[tagger.toxicity]                    # a tag is a column; nothing is dropped before the plan
model = "builtin:toxicity"           # the shipped fastText model

[component.clean]
source = "c4"
where  = "toxicity < 0.5"            # over tags and metadata; what it drops is counted
tokens = 1_000_000                   # a budget: tokens, documents, bytes, epochs or share

[component.toxic]
source     = "pol"
of         = "clean"                 # what its share is a share of; "total" if left out
max_epochs = 1                       # more is a choice, never an accident
# phases   = [["80 %", 1], ["20 %", 0]]   # relative density over stretches of the stream

# [component.calm]                   # no budget: only the control below uses it
# source = "pol"
# where  = "toxicity < 0.2"

[sweep]                              # every value makes a mix; lines multiply
toxic.share = [0, 0.05, 0.10, 0.15, 0.20, 0.25]
# seed = [1, 2]                      # replicates

# [control.more-clean]               # as many tokens as 10pct, all clean
# like    = "10pct"
# replace = {{ toxic = "clean" }}

# [control.calm-pol]                 # as many tokens of 4chan, none of them toxic
# like    = "10pct"
# replace = {{ toxic = "calm" }}

# [holdout]                          # never mixed, the same for every arm, in shards of its own
# tokens = 100_000                   # per source, whole threads or URLs

[mix]
shard_tokens = 67_108_864            # most tokens of one file
# tokens  = 1_000_000                # fixes the total instead; one component has share = "rest"
# layout  = "by-source"              # each component alone; the trainer mixes
# overlap = "first"                  # a document of two components is the first one's
"""


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="recipe.toml")
@click.option("--name", help="Name of the mix.  [default: the file's]")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@json_option
def command(file: Path, name: str | None, force: bool, as_json: bool) -> None:
    """
    Write a commented recipe to FILE (recipe.toml if left out; `.toml` is added to a bare name).

    \b
    curate init recipes/my-mix.toml
    curate plan recipes/my-mix.toml --assume c4=30_000_000_000 --assume pol=5_300_000_000
    """
    from curate import files, recipe
    from curate.errors import UsageError
    from curate.recipe.read import NAME

    file = file if file.suffix else file.with_suffix(".toml")
    chosen = file.stem.lower().replace("_", "-") if name is None else name
    if not NAME.fullmatch(chosen):
        raise UsageError(
            f"{chosen!r} cannot be the name of a mix",
            hint="Names are of a-z, 0-9 and -: curate init FILE --name my-mix",
        )
    if file.exists() and not force:
        raise UsageError(f"{file} is there already", hint="Name another file, or add --force.")
    text = TEMPLATE.format(file=file, name=chosen)
    made = recipe.parse(text, file)
    files.write_bytes(file, text.encode())
    mixes = [made.mix_name(arm) for arm in made.arms()]
    console.emit(
        {"recipe": str(file), "mixes": mixes},
        as_json=as_json,
        text=f"{file}  written: {len(mixes)} mixes, {mixes[0]} … {mixes[-1]}",
    )
