"""
One shift and one only: a tiny model trained through each adapter learns what comes next.

The mix repeats one document, so that what follows is certain. Each adapter hands out inputs and
labels as its trainer does. A model trained on labels that were shifted twice predicts the token
after the next; the same check must fail it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from test_native import gpt_dataset
from truth import SEQUENCE, Truth

Pairs = Iterator[tuple[torch.Tensor, torch.Tensor]]
TRUTH = Truth("cycle")
IGNORE = -100


def by_olmo_core(tmp_path: Path) -> Pairs:
    """Labels as OLMo-core's trainer makes them of a batch."""
    from olmo_core.data.utils import get_labels

    dataset = TRUTH.python("olmo-core")["dataset"]
    dataset.work_dir = str(tmp_path)
    built = dataset.build()
    built.prepare()
    for n in range(len(built)):
        batch = {"input_ids": built[n]["input_ids"][None]}
        yield batch["input_ids"][0], get_labels(batch, IGNORE)[0]


def by_megatron(tmp_path: Path) -> Pairs:
    """GPTDataset shifts itself."""
    dataset = gpt_dataset(TRUTH, 100, tmp_path)
    for n in range(100):
        yield torch.as_tensor(dataset[n]["tokens"]), torch.as_tensor(dataset[n]["labels"])


def by_datatrove(tmp_path: Path) -> Pairs:
    """nanotron's collator: all but the last are inputs, all but the first are labels."""
    dataset = TRUTH.python("datatrove")["dataset"]
    for n in range(len(dataset)):
        ids = dataset[n]["input_ids"]
        yield ids[:-1], ids[1:]


def by_litdata(tmp_path: Path) -> Pairs:
    """litgpt's pretraining loop."""
    from litdata.streaming import StreamingDataset, TokensLoader

    dataset = StreamingDataset(
        input_dir=str(TRUTH.folder / "litdata"), item_loader=TokensLoader(block_size=SEQUENCE + 1)
    )
    for n in range(len(dataset)):
        ids = torch.as_tensor(dataset[n]).long()
        yield ids[:SEQUENCE], ids[1 : SEQUENCE + 1]


def by_nanogpt(tmp_path: Path) -> Pairs:
    """nanoGPT's get_batch: crops at random."""
    data = np.memmap(f"{TRUTH.stems()[0]}.bin", dtype=np.uint16, mode="r")
    for at in torch.randint(len(data) - SEQUENCE, (100,)).tolist():
        x = torch.from_numpy(data[at : at + SEQUENCE].astype(np.int64))
        y = torch.from_numpy(data[at + 1 : at + 1 + SEQUENCE].astype(np.int64))
        yield x, y


def by_llmc(tmp_path: Path) -> Pairs:
    """llm.c: the buffer after the header, labels one further."""
    data = np.fromfile(next((TRUTH.folder / "llmc").glob("*.bin")), np.uint16, offset=1024)
    for at in range(0, len(data) - SEQUENCE - 1, SEQUENCE):
        ids = torch.from_numpy(data[at : at + SEQUENCE + 1].astype(np.int64))
        yield ids[:-1], ids[1:]


def by_datasets(tmp_path: Path) -> Pairs:
    """TRL: labels are the inputs; the model of transformers shifts them."""
    for ids in TRUTH.python("trl")["dataset"]["input_ids"][:]:
        yield shifted_by_the_model(torch.tensor(ids))


def by_webdataset(tmp_path: Path) -> Pairs:
    """A loop of one's own that shifts by slicing."""
    for (ids,) in TRUTH.python("webdataset")["dataset"]:
        found = torch.from_numpy(ids.astype(np.int64))
        yield found[:-1], found[1:]


def shifted_by_the_model(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As causal models of transformers do with labels = input_ids."""
    return ids[:-1], ids[1:]


def twice(adapter: Callable[[Path], Pairs]) -> Callable[[Path], Pairs]:
    """The mistake: a loader that shifts, before a model that shifts."""

    def pairs(tmp_path: Path) -> Pairs:
        for inputs, labels in adapter(tmp_path):
            yield inputs[:-1], labels[1:]

    return pairs


ADAPTERS = [
    by_olmo_core,
    by_megatron,
    by_datatrove,
    by_litdata,
    by_nanogpt,
    by_llmc,
    by_datasets,
    by_webdataset,
]


def loss_of_what_comes_next(pairs: Pairs) -> float:
    """
    Train a model of one table, then ask it for the next token of the true document, over and over.

    One table suffices: in this mix each token decides the next, EOS included within a stream.
    """
    torch.manual_seed(7)
    n_vocab = TRUTH.preset["n_vocab"]
    table = torch.nn.Embedding(n_vocab, n_vocab)
    optimizer = torch.optim.Adam(table.parameters(), lr=0.1)
    found = list(pairs)
    inputs = torch.cat([x.long() for x, _ in found])
    labels = torch.cat([y.long() for _, y in found])
    for _ in range(150):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(table(inputs), labels, ignore_index=IGNORE)
        loss.backward()
        optimizer.step()
    document = torch.tensor(TRUTH.documents[0])
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(table(document[:-1]), document[1:]))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_one_shift_is_learnt(adapter: Callable[[Path], Pairs], tmp_path: Path) -> None:
    """Near-zero loss on what truly comes next."""
    assert loss_of_what_comes_next(adapter(tmp_path)) < 0.05


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_two_shifts_are_found_out(adapter: Callable[[Path], Pairs], tmp_path: Path) -> None:
    """The same check fails a loader that shifts once too often."""
    assert loss_of_what_comes_next(twice(adapter)(tmp_path)) > 1
