"""Turn a mix into the configuration of trainers that read an export of it."""

import shlex

from curate.shards.trainers.view import View, quoted


def litgpt(view: View) -> str:
    """A command for litgpt: windows of sequence + 1 of each chunk."""
    window = view.sequence + 1
    windows = view.n_windows(window)
    return f"""{view.head(window)}
{view.how_to_export("litdata")}
{view.how_to_export("tokenizer")}
litgpt pretrain MODEL \\
  --tokenizer_dir {shlex.quote(str(view.tokenizer_folder))} \\
  --data LitData \\
  --data.data_path {shlex.quote(str(view.exported("litdata")))} \\
  --train.max_seq_length {view.sequence} \\
  --train.global_batch_size {view.batch} \\
  --train.max_tokens {view.max_steps(windows) * view.batch * view.sequence}
"""


def mosaicml(view: View) -> str:
    """A `train_loader` for LLM-Foundry; the window is baked into the export."""
    windows = view.n_windows(view.sequence)
    here = quoted(str(view.exported("mds", window=view.sequence)))
    return f"""{view.head(view.sequence)}
{view.how_to_export("mds", f" --window {view.sequence}")}
max_seq_len: {view.sequence}
max_duration: {view.max_steps(windows)}ba
global_train_batch_size: {view.batch}
train_loader:
  name: text
  dataset:
    local: {here}
    split: null
    shuffle: true
    shuffle_seed: {view.mix.content["seed"]}
    max_seq_len: {view.sequence}
    eos_token_id: {view.eos_id}
  drop_last: true
  num_workers: 8
"""


def llmc(view: View) -> str:
    """Arguments for llm.c."""
    windows = view.n_windows(view.sequence)
    return f"""{view.head(view.sequence)}
{view.how_to_export("llmc")}
./train_gpt2cu \\
  -i "{view.exported("llmc")}/train_*.bin" \\
  -t {view.sequence} \\
  -d {view.batch * view.sequence} \\
  -x {view.max_steps(windows)}
"""


def modded_nanogpt(view: View) -> str:
    """Settings for modded-nanogpt, which reads llm.c's files."""
    windows = view.n_windows(view.sequence)
    return f"""{view.head(view.sequence)}
{view.how_to_export("llmc")}
train_files = "{view.exported("llmc")}/train_*.bin"
num_iterations = {view.max_steps(windows)}
vocab_size = {view.n_vocab}
"""


def trl(view: View) -> str:
    """Python for TRL and HF datasets: one document a row, packed by the trainer."""
    return f"""{view.head(view.sequence)}
{view.how_to_export("parquet")}
from datasets import load_dataset

dataset = load_dataset(
    "parquet", data_files={quoted(str(view.exported("parquet")) + "/*.parquet")}, split="train"
).select_columns(["input_ids"])
# "bfd", the default, would cut documents of more than {view.sequence:,} tokens
# trl.SFTConfig(max_length={view.sequence}, packing=True, packing_strategy="wrapped")
"""


def webdataset(view: View) -> str:
    """Python for webdataset: one document a sample."""
    last = len(view.stems) - 1
    return f"""{view.head(view.sequence)}
{view.how_to_export("webdataset")}
import webdataset

dataset = webdataset.WebDataset(
    "{view.exported("webdataset")}/{{00000..{last:05d}}}.tar", shardshuffle=False
).decode().to_tuple("input_ids.npy")
"""


def grain(view: View) -> str:
    """Python for grain: one document a record, raw ids."""
    return f"""{view.head(view.sequence)}
{view.how_to_export("arrayrecord")}
from glob import glob

import grain
import numpy

files = sorted(glob({quoted(str(view.exported("arrayrecord")) + "/*.array_record")}))
source = grain.sources.ArrayRecordDataSource(files)
dataset = grain.MapDataset.source(source).map(
    lambda raw: numpy.frombuffer(raw, "{view.mix.dtype.str}")
)
"""


def _text(view: View, lines: list[str]) -> str:
    return "\n".join([view.head(view.sequence), view.how_to_export("text"), *lines, ""])


def torchtitan(view: View) -> str:
    """A dataset for torchtitan, which tokenizes text itself."""
    files = quoted(str(view.exported("text")) + "/*.jsonl")
    return _text(
        view,
        [
            "# in torchtitan/hf_datasets/text_datasets.py",
            f'DATASETS["{view.mix.manifest["name"]}"] = DatasetConfig(',
            f"    path={files},",
            "    loader=lambda path: load_dataset(",
            '        "json", data_files=path, split="train", streaming=True',
            "    ),",
            '    sample_processor=lambda sample: sample["text"],',
            ")",
            f"# --training.dataset {view.mix.manifest['name']} --training.seq_len {view.sequence}",
            view.how_to_export("tokenizer"),
            f"# --model.hf_assets_path {shlex.quote(str(view.tokenizer_folder))}",
        ],
    )


def lingua(view: View) -> str:
    """A data block for Meta lingua, which wants `*.chunk.NN.jsonl` with `text`."""
    folder = view.exported("text")
    n_chunks = len(view.stems)
    return _text(
        view,
        [
            f"# {n_chunks} chunks are read by {n_chunks} ranks or a multiple of it;",
            "# fewer ranks leave out the others without a word",
            "data:",
            f"  root_dir: {quoted(str(folder.parent))}",
            "  sources:",
            f"    {folder.name}: 1.0",
            f"  seq_len: {view.sequence}",
            f"  batch_size: {view.batch}",
        ],
    )


def levanter(view: View) -> str:
    """A data block for levanter."""
    return _text(
        view,
        [
            view.how_to_export("tokenizer"),
            "data:",
            "  train_urls:",
            f"    - {quoted(str(view.exported('text')) + '/*.jsonl')}",
            f"  tokenizer: {quoted(str(view.tokenizer_folder))}",
        ],
    )


def torchtune(view: View) -> str:
    """A dataset block for torchtune."""
    return _text(
        view,
        [
            "dataset:",
            "  _component_: torchtune.datasets.text_completion_dataset",
            "  source: json",
            f"  data_files: {quoted(str(view.exported('text')) + '/*.jsonl')}",
            "  column: text",
            "  split: train",
            "  packed: true",
        ],
    )
