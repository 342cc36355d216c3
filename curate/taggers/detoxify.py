"""
Turn a column of texts into Detoxify's scores: every head, long texts in windows, offline.

The model is a folder: one checkpoint in Detoxify's layout (`*.ckpt`), the `config.json` and
`tokenizer.json` of the network it names, and for the ONNX backend `model.<precision>.onnx`, which
`curate tagger export` writes. Detoxify itself asks a hub for the configuration before it looks at
the disk, unpickles the checkpoint, runs the whole list at once and cuts what is longer than 512
tokens; here the checkpoint is tensors or nothing, batches hold texts of like length, and a text is
scored in windows: `<tagger>.<head>` is the largest of them, `<tagger>.<head>.mean` the mean.

    >>> title("detoxify", "toxicity"), title("detoxify", "insult"), title("detoxify", "insult.mean")
    ('detoxify', 'detoxify.insult', 'detoxify.insult.mean')
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from curate.errors import InputError, IntegrityError, MissingExtraError
from curate.taggers import checkpoint, shelf, units

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

MAIN = "toxicity"
TOKENS_AT_ONCE = 16_384  # padded tokens of a batch: about 1 GB of activations for a base model


class Backend(Protocol):
    """A network: ids and attention mask, int64 (n, length), to scores, float32 (n, heads)."""

    def __call__(
        self, ids: "npt.NDArray[np.int64]", mask: "npt.NDArray[np.int64]"
    ) -> "npt.NDArray[np.float32]":
        """Sigmoid of the logits, in the order of the heads."""
        ...


class Detoxify:
    """A loaded model; `needs`, `batch_bytes` and `tag` make it a tagger (see `work.Tagger`)."""

    needs: tuple[str, ...] = ("text",)
    batch_bytes = 1 << 20

    def __init__(self, declaration: Mapping[str, Any], like: "Detoxify | None" = None) -> None:
        folder = shelf.place(declaration)
        self.declaration = declaration
        self.heads: list[str] = declaration["heads"]
        self.tokenizer = _tokenizer(folder, declaration["window"], declaration["overlap"])
        self.padding = json.loads((folder / "config.json").read_bytes()).get("pad_token_id") or 0
        self.backend: Backend
        if like is not None:
            self.backend = like.backend
        elif declaration["backend"] == "onnx":
            self.backend = _Onnx(folder / f"model.{declaration['precision']}.onnx")
        else:
            self.backend = _Torch(folder, len(self.heads), bf16=declaration["precision"] == "bf16")

    def tag(self, table: "pl.DataFrame") -> "pl.DataFrame":
        """Tag columns of `table` (n rows with `text`): Float32, never null."""
        import polars as pl

        name, granularity = self.declaration["name"], self.declaration["granularity"]
        found: dict[str, Any] = {}
        if granularity == "document":
            best, mean = self.scores(table["text"].to_list())
            for column, head in enumerate(self.heads):
                found[title(name, head)] = best[:, column]
                found[title(name, f"{head}.mean")] = mean[:, column]
            return pl.DataFrame(found)
        split = units.pieces(table, granularity)
        best, _ = self.scores(split["text"].to_list())
        over = units.threshold(self.declaration)
        for column, head in enumerate(self.heads):
            made = units.summed(best[:, column], split["row"], table.height, over=over)
            for end, values in made.items():
                found[title(name, f"{head}.{end}".rstrip("."))] = values
        return pl.DataFrame(found)

    def scores(
        self, texts: Sequence[str]
    ) -> "tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]":
        """Largest and mean score over the windows of n texts: two float32 (n, heads)."""
        import numpy as np

        windows, owners = [], []
        for row, encoding in enumerate(self.tokenizer.encode_batch(list(texts))):
            for window in (encoding, *encoding.overflowing):
                windows.append(window.ids)
                owners.append(row)
        scores = np.empty((len(windows), len(self.heads)), dtype=np.float32)
        for batch in batches([len(ids) for ids in windows]):
            longest = max(len(windows[n]) for n in batch)
            ids = np.full((len(batch), longest), self.padding, dtype=np.int64)
            mask = np.zeros_like(ids)
            for place, n in enumerate(batch):
                ids[place, : len(windows[n])] = windows[n]
                mask[place, : len(windows[n])] = 1
            scores[batch] = self.backend(ids, mask)
        n_windows = np.bincount(owners, minlength=len(texts))
        starts = np.concatenate(([0], np.cumsum(n_windows)[:-1]))
        total = np.add.reduceat(scores.astype(np.float64), starts, axis=0)
        mean = (total / n_windows[:, None]).astype(np.float32)
        return np.maximum.reduceat(scores, starts, axis=0), mean


def title(name: str, head: str) -> str:
    """Column of a head: the tagger's own name for toxicity, `<name>.<head>` for the others."""
    if head == MAIN or head.startswith(MAIN + "."):
        return name + head[len(MAIN) :]
    return f"{name}.{head}"


def columns(declaration: Mapping[str, Any]) -> list[str]:
    """Names of a declaration's columns, in order."""
    split = declaration["granularity"] != "document"
    ends = ("", ".max", ".share") if split else ("", ".mean")
    return [title(declaration["name"], head + end) for head in declaration["heads"] for end in ends]


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """
    Indices of texts of like length, at most `TOKENS_AT_ONCE` with padding; longest first.

    >>> batches([3, 9000, 2, 8000])
    [[1], [3, 0], [2]]
    """
    made: list[list[int]] = []
    longest = 0
    for n in sorted(range(len(lengths)), key=lambda n: (-lengths[n], n)):
        if made and longest * (len(made[-1]) + 1) <= TOKENS_AT_ONCE:
            made[-1].append(n)
        else:
            made.append([n])
            longest = lengths[n]
    return made


def _checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain values of a checkpoint; nothing in it is run."""
    import pickle

    torch = _torch()
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path.name} holds more than tensors and plain values, and is not loaded"
        ) from None
    except (RuntimeError, KeyError, TypeError, EOFError, ValueError, OSError) as error:
        raise InputError(f"{path.name} is damaged", details=[type(error).__name__]) from None
    return dict(found)


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingExtraError(
            "Detoxify is not installed", hint='pip install "curate-mix[detoxify]"'
        ) from None
    return torch


def _tokenizer(folder: Path, window: int, overlap: int) -> Any:
    import tokenizers

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{folder.name}/tokenizer.json: {error}") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(window, stride=overlap)
    return tokenizer


class _Torch:
    """The network by Detoxify's own loader, from local files alone."""

    def __init__(self, folder: Path, n_heads: int, *, bf16: bool) -> None:
        torch = self.torch = _torch()
        try:
            from detoxify.detoxify import get_model_and_tokenizer
        except ImportError:
            raise MissingExtraError(
                "Detoxify is not installed", hint='pip install "curate-mix[detoxify]"'
            ) from None
        network, _ = checkpoint.described(folder)
        state = _checkpoint(checkpoint.path_in(folder))["state_dict"]
        # With its own `huggingface_config_path` it would build the network with the wrong heads.
        model, _ = get_model_and_tokenizer(
            model_type=str(folder),
            model_name=network,
            tokenizer_name="AutoTokenizer",
            num_classes=n_heads,
            state_dict=state,
        )
        missing = sorted(set(model.state_dict()) - set(state))
        missing = [name for name in missing if not name.endswith("position_ids")]
        if missing:
            raise IntegrityError(
                f"{folder.name}: the checkpoint lacks weights of the network",
                details=[f"{len(missing):,} tensors, first {missing[0]}"],
            )
        self.bf16 = bf16
        self.device = torch.device(_device(torch))
        self.model = model.eval().to(self.device)

    def __call__(
        self, ids: "npt.NDArray[np.int64]", mask: "npt.NDArray[np.int64]"
    ) -> "npt.NDArray[np.float32]":
        torch = self.torch
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16),
        ):
            logits = self.model(
                input_ids=torch.from_numpy(ids).to(self.device),
                attention_mask=torch.from_numpy(mask).to(self.device),
            ).logits
        scores: npt.NDArray[np.float32] = torch.sigmoid(logits.float()).cpu().numpy()
        return scores


class _Onnx:
    """The network by ONNX Runtime, on the processor."""

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtraError(
                "ONNX Runtime is not installed", hint='pip install "curate-mix[onnx]"'
            ) from None
        if not path.is_file():
            raise InputError(
                f"{path.parent.name} has no {path.name}", hint=f"curate tagger export {path.parent}"
            )
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        settings.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library raises nothing narrower
            raise InputError(f"{path.name} is not an ONNX model: {type(error).__name__}") from None

    def __call__(
        self, ids: "npt.NDArray[np.int64]", mask: "npt.NDArray[np.int64]"
    ) -> "npt.NDArray[np.float32]":
        import numpy as np

        (logits,) = self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        scores: npt.NDArray[np.float32] = 1 / (1 + np.exp(-logits.astype(np.float32)))
        return scores


def _device(torch: Any) -> str:
    """Where to compute: `$CURATE_DEVICE`, else the first GPU, else the processor."""
    chosen = os.environ.get("CURATE_DEVICE", "")
    return chosen or ("cuda" if torch.cuda.is_available() else "cpu")
