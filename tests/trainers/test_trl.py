"""
The Parquet export in TRL's own trainer.

In a process of its own: transformers' models import a torchvision that is there, and one that is
built for CUDA where torch is not cannot be.
"""

import sys
from pathlib import Path

import pytest

sys.modules["torchvision"] = None  # type: ignore[assignment]

from truth import NAMES, SEQUENCE, Truth  # noqa: E402


@pytest.mark.parametrize("name", NAMES)
def test_trl_packs_every_token(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SFTTrainer with the printed settings trains on each token as often as the mix has it."""
    import trl
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    truth = Truth(name)
    [settings] = [line for line in truth.told("trl").splitlines() if "SFTConfig(" in line]
    arguments = eval(settings.removeprefix("# trl.SFTConfig").replace("(", "dict(", 1))
    size = {"n_embd": 4, "n_layer": 1, "n_head": 1, "n_positions": SEQUENCE}
    trainer = trl.SFTTrainer(
        GPT2LMHeadModel(GPT2Config(vocab_size=truth.preset["n_vocab"], **size)),
        args=trl.SFTConfig(output_dir=str(tmp_path), report_to=[], use_cpu=True, **arguments),
        train_dataset=truth.python("trl")["dataset"],
        processing_class=AutoTokenizer.from_pretrained(str(truth.folder / "tokenizer")),
    )
    windows = trainer.train_dataset["input_ids"][:]

    assert sorted(t for ids in truth.documents for t in ids) == sorted(
        t for w in windows for t in w
    )
    assert SEQUENCE == max(map(len, windows))
    assert windows == trainer.train_dataset["labels"][:]
