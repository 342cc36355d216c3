"""The shards as they are, token for token, in the readers of OLMo-core, Megatron and datatrove."""

import os
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from truth import BATCH, NAMES, SEQUENCE, Truth

MIXES = pytest.mark.parametrize("name", NAMES)


@MIXES
def test_olmo_core_reads_every_window(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The printed program builds a dataset of exactly our windows, in order."""
    monkeypatch.chdir(tmp_path)
    truth = Truth(name)
    told = truth.python("olmo-core")
    dataset = told["dataset"].build()
    dataset.prepare()
    found = [dataset[n]["input_ids"].tolist() for n in range(len(dataset))]

    if truth.preset["layout"] == "interleaved":
        assert truth.windows(SEQUENCE) == found
    else:
        assert {tuple(w) for w in found} <= {tuple(w) for w in truth.windows(SEQUENCE)}
        assert told["max_steps"] * BATCH == len(found) == len({tuple(w) for w in found})
    assert told["max_steps"] == len(truth.windows(SEQUENCE)) // BATCH


@MIXES
def test_olmo_core_masks_every_token(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Label masks lie beside the windows they belong to."""
    monkeypatch.chdir(tmp_path)
    truth = Truth(name)
    if truth.preset["layout"] != "interleaved":
        pytest.skip("OLMo-core takes no label masks with a source mixture")
    dataset = truth.python("olmo-core")["dataset"].build()
    dataset.prepare()
    found = [dataset[n]["label_mask"].tolist() for n in range(len(dataset))]

    assert [
        mask[at : at + SEQUENCE]
        for mask in truth.masks
        for at in range(0, len(mask) - SEQUENCE + 1, SEQUENCE)
    ] == found


@MIXES
def test_olmo_core_finds_every_document(name: str, tmp_path: Path) -> None:
    """Lengths of documents within windows follow from EOS (and BOS), which OLMo-core scans for."""
    from olmo_core.data import NumpyFSLDatasetConfig, TokenizerConfig

    truth, preset = Truth(name), Truth(name).preset
    dataset = NumpyFSLDatasetConfig(
        paths=[f"{stem}.npy" for stem in truth.stems()],
        sequence_length=SEQUENCE,
        tokenizer=TokenizerConfig(
            vocab_size=preset["n_vocab"],
            eos_token_id=preset["eos"],
            pad_token_id=preset["eos"],
            bos_token_id=preset["bos"],
        ),
        dtype=preset["dtype"],
        generate_doc_lengths=True,
        work_dir=str(tmp_path),
    ).build()
    dataset.prepare()
    at = 0
    for shard in truth.shards:
        ends = np.cumsum([len(ids) for ids in shard])
        for first in range(0, int(ends[-1]) - SEQUENCE + 1, SEQUENCE):
            inside = ends[(ends > first) & (ends < first + SEQUENCE)] - first
            expected = np.diff([0, *inside.tolist(), SEQUENCE]).tolist()
            found = [n for n in dataset[at]["doc_lens"].tolist() if n]
            assert expected == found
            at += 1
    assert at == len(dataset)


@MIXES
def test_olmo_core_reads_padded_documents(name: str, tmp_path: Path) -> None:
    """One document an instance, cut to the window: as many as there are, in order."""
    from olmo_core.data import NumpyPaddedFSLDatasetConfig, TokenizerConfig

    truth, preset = Truth(name), Truth(name).preset
    unused = preset["n_vocab"]
    dataset = NumpyPaddedFSLDatasetConfig(
        paths=[f"{stem}.npy" for stem in truth.stems()],
        sequence_length=SEQUENCE,
        tokenizer=TokenizerConfig(
            vocab_size=preset["n_vocab"] + 1,
            eos_token_id=preset["eos"],
            pad_token_id=unused,
            bos_token_id=preset["bos"],
        ),
        dtype=preset["dtype"],
        work_dir=str(tmp_path),
    ).build()
    dataset.prepare()
    found = [
        [t for t in dataset[n]["input_ids"].tolist() if t != unused] for n in range(len(dataset))
    ]

    assert [ids[:SEQUENCE] for ids in truth.documents] == found


@MIXES
@pytest.mark.parametrize("mmap", [True, False])
def test_megatron_reads_every_document(name: str, mmap: bool) -> None:
    """IndexedDataset gives each document, by memory map and by file."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    truth = Truth(name)
    for stem, shard in zip(truth.stems(), truth.shards, strict=True):
        dataset = IndexedDataset(str(stem), mmap=mmap)
        assert shard == [np.asarray(ids).tolist() for ids in dataset]
        assert [len(ids) for ids in shard] == dataset.sequence_lengths.tolist()
        assert list(range(len(shard) + 1)) == dataset.document_indices.tolist()


def megatron_arguments(truth: Truth) -> dict[str, list[str]]:
    """The printed arguments, by name."""
    lines = [line for line in truth.told("megatron").splitlines() if not line.startswith("#")]
    found: dict[str, list[str]] = {}
    for word in shlex.split(" ".join(lines).replace("\\ ", " ")):
        if word.startswith("--"):
            found[word] = values = []
        else:
            values.append(word)
    return found


def gpt_dataset(truth: Truth, n_samples: int, cache: Path) -> Any:
    """Megatron's own blend of what we printed."""
    from megatron.core.datasets.blended_megatron_dataset_builder import (
        BlendedMegatronDatasetBuilder,
    )
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.utils import get_blend_from_list

    if not torch.distributed.is_initialized():
        store = torch.distributed.HashStore()
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)

    class Names:
        """As much of a tokenizer as datasets ask for."""

        def __init__(self) -> None:
            self.eod = truth.preset["eos"]
            self.vocab_size = truth.preset["n_vocab"]
            self.pad = -1
            self.unique_identifiers = {"class": "none"}

    told = megatron_arguments(truth)
    config = GPTDatasetConfig(
        random_seed=7,
        sequence_length=int(told["--seq-length"][0]),
        blend=get_blend_from_list(told["--data-path"]),
        split=told["--split"][0],
        path_to_cache=str(cache),
        reset_position_ids=True,
        reset_attention_mask=True,
        eod_mask_loss=True,
        tokenizer=Names(),
    )
    builder = BlendedMegatronDatasetBuilder(GPTDataset, [n_samples, 0, 0], lambda: True, config)
    return builder.build()[0]


@MIXES
def test_megatron_blends_what_was_printed(name: str, tmp_path: Path) -> None:
    """Arguments parse; every sample is our tokens, labels one further, in document order."""
    truth = Truth(name)
    told = megatron_arguments(truth)
    n_samples = int(told["--train-iters"][0]) * BATCH
    dataset = gpt_dataset(truth, n_samples, tmp_path)
    known = {tuple(ids) for ids in truth.documents}

    assert len(dataset) >= n_samples
    for n in range(0, n_samples, 7):
        sample = dataset[n]
        tokens = [*sample["tokens"].tolist(), sample["labels"].tolist()[-1]]
        assert tokens[1:] == sample["labels"].tolist()
        ends = [i for i, token in enumerate(tokens) if token == truth.preset["eos"]]
        for a, b in pairwise(ends):
            assert tuple(tokens[a + 1 : b + 1]) in known


@MIXES
def test_datatrove_reads_every_window(name: str) -> None:
    """The printed program: windows of one more token, positions that restart with each document."""
    truth = Truth(name)
    dataset = truth.python("datatrove")["dataset"]
    found = [dataset[n] for n in range(len(dataset))]

    assert truth.windows(SEQUENCE + 1) == [sample["input_ids"].tolist() for sample in found]
    for window, sample in zip(truth.windows(SEQUENCE + 1), found, strict=True):
        position, expected = 0, []
        for token in window:
            expected.append(position)
            position = 0 if token == truth.preset["eos"] else position + 1
        assert expected == sample["positions"].tolist()


@MIXES
def test_datatrove_merges_them(name: str, tmp_path: Path) -> None:
    """Its merger takes shards, indexes and masks, and loses nothing."""
    from datatrove.pipeline.tokens.merger import DocumentTokenizerMerger

    truth = Truth(name)
    folder = truth.folder / "mix" / "shards"
    loaded = tmp_path / "in"
    loaded.mkdir()
    for path in folder.glob("*.ds*"):
        os.symlink(path, loaded / path.name)
    for path in (truth.folder / "sides").glob("*.mask"):
        os.symlink(path, loaded / path.with_suffix(".ds.loss").name)
    out = tmp_path / "out"
    DocumentTokenizerMerger(
        str(loaded), str(out), "merged", shuffle=False, save_loss_metadata=True
    ).run(rank=0, world_size=1)
    [ids] = [np.fromfile(path, truth.preset["dtype"]) for path in out.glob("*.ds")]
    [mask] = [np.fromfile(path, bool) for path in out.glob("*.ds.loss")]
    ends = np.flatnonzero(ids == truth.preset["eos"]) + 1
    found = [
        (tuple(ids[a:b].tolist()), mask[a:b].tolist()) for a, b in pairwise([0, *ends.tolist()])
    ]

    assert sorted((tuple(ids), [len(ids) % 16 < 8] * len(ids)) for ids in truth.documents) == (
        sorted(found)
    )


@MIXES
def test_nanotron_is_told_folders_its_reader_can_read(name: str) -> None:
    """Each folder of the printed block, by datatrove's reader: exactly that component's windows."""
    import yaml
    from datatrove.utils.dataset import DatatroveFolderDataset

    truth = Truth(name)
    told = yaml.safe_load(truth.told("nanotron"))
    data = told["data_stages"][0]["data"]["dataset"]
    total = 0
    for folder, weight in zip(data["dataset_folder"], data["dataset_weights"], strict=True):
        dataset = DatatroveFolderDataset(
            folder,
            seq_len=told["tokens"]["sequence_length"],
            filename_pattern="*.ds",
            recursive=False,
            token_size=data["token_size_in_bytes"],
            return_positions=data["return_positions"],
        )
        total += len(dataset)
        assert pytest.approx(len(dataset) / len(truth.windows(SEQUENCE + 1))) == weight
        [metadata, *_] = sorted(Path(folder).glob("*.ds.metadata"))
        tokenizer, width = metadata.read_text().split("\n")[0].split("|")
        assert int(width) == data["token_size_in_bytes"]
        assert tokenizer == data["tokenizer_name"] == told["tokenizer"]["tokenizer_name_or_path"]
    assert len(truth.windows(SEQUENCE + 1)) == total
    assert total // BATCH == told["tokens"]["train_steps"]


@MIXES
def test_nanogpt_maps_the_bytes(name: str) -> None:
    """nanoGPT's own line: a memory map of uint16 from byte 0."""
    truth = Truth(name)
    if truth.preset["dtype"] != "uint16":
        pytest.skip("nanoGPT reads uint16 only")
    for stem, stream in zip(truth.stems(), truth.streams, strict=True):
        assert stream == np.memmap(f"{stem}.bin", dtype=np.uint16, mode="r").tolist()
