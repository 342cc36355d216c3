"""Exports in MosaicML streaming, litgpt and transformers, in an environment of their own."""

import shlex
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from truth import NAMES, SEQUENCE, Truth


class Absent(ModuleType):
    """A module whose every name is an empty class."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


# streaming and litgpt's torchmetrics import what reads pictures at once, and that wants a
# torchvision, which is built for CUDA where torch is not.
for part in ("", ".datasets", ".models", ".transforms", ".transforms.functional"):
    sys.modules[f"torchvision{part}"] = Absent(f"torchvision{part}")


@pytest.mark.parametrize("name", NAMES)
def test_transformers_opens_the_tokenizer(name: str) -> None:
    """The folder that configurations name, as Megatron, nanotron, litgpt and levanter open it."""
    from transformers import AutoTokenizer

    truth = Truth(name)
    tokenizer = AutoTokenizer.from_pretrained(str(truth.folder / "tokenizer"))

    assert truth.preset["eos"] == tokenizer.eos_token_id
    assert truth.preset["bos"] == tokenizer.bos_token_id
    assert truth.preset["n_vocab"] == len(tokenizer)


@pytest.mark.parametrize("name", NAMES)
def test_litgpt_reads_what_was_printed(name: str) -> None:
    """litgpt's own data module and tokenizer: every block of sequence + 1, EOS and BOS."""
    from litgpt.data import LitData
    from litgpt.tokenizer import Tokenizer

    truth = Truth(name)
    words = shlex.split(truth.told("litgpt").replace("\\\n", " "), comments=True)
    told = dict(zip(words[3::2], words[4::2], strict=True))
    tokenizer = Tokenizer(truth.folder / "tokenizer")
    data = LitData(data_path=Path(told["--data.data_path"]), num_workers=0)
    data.connect(
        tokenizer=tokenizer, batch_size=1, max_seq_length=int(told["--train.max_seq_length"])
    )
    found = [batch[0].tolist() for batch in data.train_dataloader()]

    assert sorted(truth.windows(SEQUENCE + 1)) == sorted(found)
    assert truth.preset["eos"] == tokenizer.eos_id
    if truth.preset["bos"] is not None:
        assert truth.preset["bos"] == tokenizer.bos_id


@pytest.mark.parametrize("name", NAMES)
def test_streaming_reads_every_window(name: str) -> None:
    """StreamingDataset gives the windows, in order, and checks their sha256."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    truth = Truth(name)
    dataset = StreamingDataset(
        local=str(truth.folder / "mds"),
        shuffle=False,
        batch_size=1,
        validate_hash="sha256",
        allow_unsafe_types=False,
    )
    found = [dataset[n]["tokens"].tolist() for n in range(len(dataset))]

    assert truth.windows(SEQUENCE) == found
