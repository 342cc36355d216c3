"""MDS in MosaicML streaming, whose environment is its own; its transformers open tokenizers."""

import sys
from importlib.machinery import ModuleSpec
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


# streaming imports its readers of pictures at once, and they want a torchvision, which is built for
# CUDA where torch is not.
for module in ("torchvision", "torchvision.datasets", "torchvision.transforms.functional"):
    sys.modules[module] = Absent(module)
sys.modules["torchvision.transforms"] = Absent("torchvision.transforms")


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
