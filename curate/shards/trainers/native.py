"""
Turn a mix into the configuration of trainers that read its shards as they are.

What each reader does with a shard is in docs/trainers.md; the texts below are run against the real
libraries by `make test-trainers`.
"""

import shlex
from pathlib import Path

from curate import files
from curate.errors import UsageError
from curate.shards import sidecars
from curate.shards.trainers.view import Source, View, quoted


def _listed(paths: list[Path], indent: str) -> str:
    return "".join(f"{indent}{quoted(str(path))},\n" for path in paths)


def _npy(source: Source) -> list[Path]:
    return [stem.with_name(stem.name + ".npy") for stem in source.stems]


def olmo_core(view: View) -> str:
    """Python for OLMo-core: windows without overlap, documents found by EOS."""
    bos = "" if view.bos_id is None else f"\n    bos_token_id={view.bos_id},"
    head = f"""{view.head(view.sequence)}
from olmo_core.data import (
    NumpyDataLoaderConfig, NumpyDatasetDType, NumpyFSLDatasetConfig, TokenizerConfig,
)

tokenizer = TokenizerConfig(
    vocab_size={view.n_vocab},
    eos_token_id={view.eos_id},
    pad_token_id={view.eos_id},  # nothing is padded in windows of fixed length{bos}
    identifier={quoted(str(view.tokenizer))},
)
"""
    masks = view.masks()
    if masks and view.by_source:
        raise UsageError(
            "OLMo-core takes no label masks where it mixes sources itself",
            hint='Build the mix with layout = "interleaved", or leave out --export.',
        )
    masked = f"    label_mask_paths=[\n{_listed(masks, '        ')}    ],\n" if masks else ""
    common = f"""{masked}    sequence_length={view.sequence},
    tokenizer=tokenizer,
    dtype=NumpyDatasetDType.{view.mix.dtype.name},  # never guessed from the vocabulary
    generate_doc_lengths=True,  # attention within documents
    work_dir="work/olmo-core",
"""
    steps = view.max_steps(view.n_windows(view.sequence))
    tail = f"""data_loader = NumpyDataLoaderConfig(
    global_batch_size={view.batch * view.sequence},  # tokens
    seed={view.mix.content["seed"]},
    num_workers=4,
)
max_steps = {steps}
"""
    if not view.by_source:
        paths = _listed([path for source in view.sources for path in _npy(source)], "        ")
        return (
            f"{head}dataset = NumpyFSLDatasetConfig(\n    paths=[\n{paths}    ],\n{common})\n{tail}"
        )
    windows = view.n_windows(view.sequence)
    sources = "".join(
        f"""            SourceMixtureConfig(
                source_name={quoted(source.name)},
                target_ratio={source.n_windows(view.sequence)} / {windows},
                paths=[
{_listed(_npy(source), "                    ")}                ],
            ),
"""
        for source in view.sources
        if source.n_windows(view.sequence)
    )
    return f"""{head}from olmo_core.data.source_mixture import (
    SourceMixtureConfig, SourceMixtureDatasetConfig, SourceMixtureList,
)

dataset = NumpyFSLDatasetConfig.from_src_mix(
    SourceMixtureDatasetConfig(
        requested_tokens={steps * view.batch * view.sequence},
        global_batch_size={view.batch * view.sequence},
        seed={view.mix.content["seed"]},
        source_list=SourceMixtureList(sources=[
{sources}        ]),
    ),
{common})
{tail}"""


def megatron(view: View) -> str:
    """Arguments for Megatron-LM: a window and one token more, documents shuffled by Megatron."""
    windows = view.n_windows(view.sequence, less=1)
    note = (
        "weights are tokens: Megatron draws windows in that proportion"
        if view.by_source
        else "without weights each shard is read once"
    )
    shards = _with_a_window(view)
    paths = [shlex.quote(str(stem)) for stem, _ in shards]
    if view.by_source:
        paths = [f"{size} {path}" for path, (_, size) in zip(paths, shards, strict=True)]
    return "\n".join(
        [
            view.head(view.sequence, less=1),
            f"# {note}; pad must be an id that no document has",
            view.how_to_export("tokenizer"),
            "--data-path \\",
            *(f"  {path} \\" for path in paths),
            "--split 1,0,0 \\",
            "--tokenizer-type HuggingFaceTokenizer \\",
            f"--tokenizer-model {shlex.quote(str(view.tokenizer_folder))} \\",
            f"--seq-length {view.sequence} \\",
            f"--global-batch-size {view.batch} \\",
            f"--train-iters {view.max_steps(windows)} \\",
            "--reset-position-ids --reset-attention-mask --eod-mask-loss",
            "",
        ]
    )


def _with_a_window(view: View) -> list[tuple[Path, int]]:
    """Shards and their tokens; Megatron refuses one that holds no window and one token more."""
    return [
        (stem, size)
        for source in view.sources
        for stem, size in zip(source.stems, source.sizes, strict=True)
        if size > view.sequence
    ]


def gpt_neox(view: View) -> str:
    """YAML for GPT-NeoX, which reads Megatron's files and wants all of train, valid and test."""
    steps = view.max_steps(view.n_windows(view.sequence, less=1))
    held = view.holdout()
    valid = _with_a_window(held) if held else []
    lines = [view.head(view.sequence, less=1), *_neox_shards("train", _with_a_window(view))]
    if valid:
        lines += [*_neox_shards("valid", valid), *_neox_same("test", "valid")]
    else:
        lines += [*_neox_same("valid", "train"), *_neox_same("test", "train")]
        lines.append("eval_iters: 0  # no hold-out with a window lies beside this mix")
    eos = view.mix.content["tokenizer"]["eos"]["token"]
    if eos != NEOX_EOS:
        lines.append(f"# HFTokenizer takes {NEOX_EOS} for the end of a document; here it is {eos}")
    settings = {
        "data_impl": "mmap",  # `infer` finds nothing in some versions
        "tokenizer_type": "HFTokenizer",
        "vocab_file": str(view.tokenizer),
        "seq_length": view.sequence,
        "train_iters": steps,
    }
    lines += [f"{name}: {quoted(value)}" for name, value in settings.items()]
    return "\n".join([*lines, ""])


NEOX_EOS = "<|endoftext|>"


def _neox_shards(part: str, shards: list[tuple[Path, int]]) -> list[str]:
    paths = quoted([str(stem) for stem, _ in shards])
    weights = quoted([float(size) for _, size in shards])
    return [
        f"{part}_data_paths: &{part}_paths {paths}",
        f"{part}_data_weights: &{part}_weights {weights}",
    ]


def _neox_same(part: str, other: str) -> list[str]:
    return [f"{part}_data_paths: *{other}_paths", f"{part}_data_weights: *{other}_weights"]


def nanotron(view: View) -> str:
    """A `data_stages` block for nanotron: windows of sequence + 1, positions restart in each."""
    window = view.sequence + 1
    total = view.n_windows(window)
    steps = view.max_steps(total)
    sources = [source for source in view.sources if source.n_windows(window)]
    weights = ", ".join(f"{source.n_windows(window) / total!r}" for source in sources)
    tokenizer = quoted(str(view.tokenizer_folder))
    named = "".join(
        f"        - {quoted(str(_nanotron_folder(view, source)))}\n" for source in sources
    )
    return f"""{view.head(window)}
{view.how_to_export("tokenizer")}
tokenizer:
  tokenizer_name_or_path: {tokenizer}
data_stages:
  - name: stable
    start_training_step: 1
    data:
      dataset:
        dataset_folder:
{named}        dataset_weights: [{weights}]
        token_size_in_bytes: {view.mix.dtype.itemsize}
        tokenizer_name: {tokenizer}
        vocab_size: {view.n_vocab}
        return_positions: true
      num_loading_workers: 1
      seed: {view.mix.content["seed"]}
tokens:
  sequence_length: {view.sequence}
  train_steps: {steps}
"""


def _nanotron_folder(view: View, source: Source) -> Path:
    """
    A folder of links to a source's shards, with metadata that name the tokenizer of the config.

    nanotron's NanosetDatasetsArgs asserts that they are the same text; a mix, which may be moved,
    cannot hold it.
    """
    if view.links is not None:
        ours = {f"{stem.name}.ds" for stem in source.stems}
        there = {path.name for path in (view.links / source.name).glob("*.ds")}
        if there - ours:  # it reads every one
            raise UsageError(
                f"{view.links / source.name} has links to shards of another mix",
                hint="Name another --links.",
            )
    folder = Path()
    for stem, n_tokens in zip(source.stems, source.sizes, strict=True):
        for suffix in (".ds", ".ds.index"):
            target = stem.with_name(stem.name + suffix)
            folder = view.link(target, f"{source.name}/{target.name}").parent
        told = sidecars.datatrove_metadata(
            str(view.tokenizer_folder), view.mix.dtype.name, n_tokens
        )
        files.write_bytes(folder / f"{stem.name}.ds.metadata", told)
    return folder


def datatrove(view: View) -> str:
    """Python for datatrove's own dataset: windows of sequence + 1, in the order of the mix."""
    return f"""{view.head(view.sequence + 1)}
from datatrove.utils.dataset import DatatroveFolderDataset

dataset = DatatroveFolderDataset(
    {quoted(str(view.mix.folder.resolve() / "shards"))},
    seq_len={view.sequence},
    filename_pattern="*.ds",
    recursive=False,
    token_size={view.mix.dtype.itemsize},
    return_positions=True,
)
"""


def nanogpt(view: View) -> str:
    """Commands and settings for nanoGPT, which reads one file of uint16 by random crops."""
    if view.mix.dtype.name != "uint16":
        raise UsageError(
            "nanoGPT reads uint16 only",
            details=[f"this mix has ids of {view.mix.dtype.name}"],
            hint="Build it with a tokenizer of at most 65,536 ids.",
        )
    steps = view.max_steps(view.n_windows(view.sequence))
    name = "val.bin" if view.is_holdout else "train.bin"
    if len(view.stems) == 1:
        stem = view.stems[0]
        made = f"# linked: {view.link(stem.with_name(stem.name + '.bin'), name)}"
    else:
        # Shards have no header, so that one after the other they are one file.
        folder = "DIR" if view.links is None else str(view.links.resolve())
        shards = shlex.quote(str(view.mix.folder.resolve() / "shards"))
        made = f"cat {shards}/*.bin > {shlex.quote(folder)}/{name}"
    return f"""{view.head(view.sequence)}
# val.bin: the same of the hold-out's mix
{made}
# config/train.py
block_size = {view.sequence}
batch_size = {view.batch}
max_iters = {steps}  # crops are random: as many as one epoch
# model: vocab_size = {view.n_vocab}
"""
