"""
Turn a mix into the configuration of trainers that read its shards as they are.

What each reader does with a shard is in docs/trainers.md; the texts below are run against the real
libraries by `make test-trainers`.
"""

import json
from pathlib import Path

from curate.errors import UsageError
from curate.shards.trainers.view import Source, View


def _listed(paths: list[Path], indent: str) -> str:
    return "".join(f"{indent}{json.dumps(str(path))},\n" for path in paths)


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
    identifier={json.dumps(str(view.tokenizer))},
)
"""
    masks = [] if view.export is None else sorted(view.export.resolve().glob("*.mask"))
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
    steps = view.steps(view.n_windows(view.sequence))
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
                source_name={json.dumps(source.name)},
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
    paths = [f"{size} {stem}" if view.by_source else str(stem) for stem, size in shards]
    return "\n".join(
        [
            view.head(view.sequence, less=1),
            f"# {note}; pad must be an id that no document has",
            "--data-path \\",
            *(f"  {path} \\" for path in paths),
            "--split 1,0,0 \\",
            "--tokenizer-type HuggingFaceTokenizer \\",
            f"--tokenizer-model {view.tokenizer.parent} \\",
            f"--seq-length {view.sequence} \\",
            f"--global-batch-size {view.batch} \\",
            f"--train-iters {view.steps(windows)} \\",
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
    """YAML for GPT-NeoX, which reads Megatron's files."""
    shards = _with_a_window(view)
    settings = {
        "train_data_paths": [str(stem) for stem, _ in shards],
        "train_data_weights": [float(size) for _, size in shards],
        "data_impl": "mmap",  # `infer` finds nothing in some versions
        "tokenizer_type": "HFTokenizer",
        "vocab_file": str(view.tokenizer),
        "seq_length": view.sequence,
        "train_iters": view.steps(view.n_windows(view.sequence, less=1)),
    }
    lines = [f"{name}: {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join([view.head(view.sequence, less=1), *lines, ""])


def nanotron(view: View) -> str:
    """A `data_stages` block for nanotron: windows of sequence + 1, positions restart in each."""
    window = view.sequence + 1
    if view.by_source:
        folders = []
        for source in view.sources:
            for stem in source.stems:
                for suffix in (".ds", ".ds.index", ".ds.metadata"):
                    target = stem.with_name(stem.name + suffix)
                    view.link(target, f"{source.name}/{target.name}")
            if view.links is not None:
                folders.append(view.links.resolve() / source.name)
    else:
        folders = [view.mix.folder.resolve() / "shards"]
    total = view.n_windows(window)
    weights = ", ".join(f"{source.n_windows(window) / max(1, total)!r}" for source in view.sources)
    named = "".join(f"        - {json.dumps(str(folder))}\n" for folder in folders)
    return f"""{view.head(window)}
data_stages:
  - name: stable
    start_training_step: 1
    data:
      dataset:
        dataset_folder:
{named}        dataset_weights: [{weights}]
        token_size_in_bytes: {view.mix.dtype.itemsize}
        tokenizer_name: {json.dumps(str(view.tokenizer.parent))}
        vocab_size: {view.n_vocab}
        return_positions: true
      num_loading_workers: 1
      seed: {view.mix.content["seed"]}
tokens:
  sequence_length: {view.sequence}
  train_steps: {view.steps(total)}
"""


def datatrove(view: View) -> str:
    """Python for datatrove's own dataset: windows of sequence + 1, in the order of the mix."""
    return f"""{view.head(view.sequence + 1)}
from datatrove.utils.dataset import DatatroveFolderDataset

dataset = DatatroveFolderDataset(
    {json.dumps(str(view.mix.folder.resolve() / "shards"))},
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
    if len(view.stems) == 1:
        stem = view.stems[0]
        made = f"# linked: {view.link(stem.with_name(stem.name + '.bin'), 'train.bin')}"
    else:
        # Shards have no header, so that one after the other they are one file.
        folder = "DIR" if view.links is None else str(view.links.resolve())
        made = f"cat {view.mix.folder.resolve()}/shards/*.bin > {folder}/train.bin"
    return f"""{view.head(view.sequence)}
# val.bin: the same of the hold-out
{made}
# config/train.py
block_size = {view.sequence}
batch_size = {view.batch}
max_iters = {view.steps(view.n_windows(view.sequence))}  # crops are random: as many as one epoch
# model: vocab_size = {view.n_vocab}
"""
