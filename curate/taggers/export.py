"""
Turn a Detoxify folder's network into ONNX files, full and int8, and say how far they differ.

    <folder>/model.fp32.onnx   the network as it is
    <folder>/model.int8.onnx   weights and, as it runs, activations in 8 bits (dynamic quantization)
    <folder>/export.json       largest and mean difference of the scores, on the texts given
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import files
from curate.errors import IntegrityError, MissingExtraError, UsageError
from curate.taggers import probe
from curate.taggers.declaration import declare
from curate.taggers.detoxify import Detoxify

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NAMES = ("model.fp32.onnx", "model.int8.onnx")


def exported(folder: Path, *, texts: Sequence[str] = (), force: bool = False) -> dict[str, Any]:
    """
    Write both files and `export.json`; returns its facts, decimals as text.

    `texts` are what the differences are measured on (default: the sentences models are tried on).
    """
    if not force:
        for name in NAMES:
            if (folder / name).exists():
                raise UsageError(f"{folder / name} is already there", hint="Add --force.")
    try:
        import onnx
        import torch
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        raise MissingExtraError(
            "exporting needs torch, onnx and onnxruntime",
            hint='pip install "curate-mix[onnx]" onnx onnxscript',
        ) from None
    texts = list(texts) or list(probe.SENTENCES)
    plain = _opened(folder, "torch", "fp32")
    wanted, _ = plain.scores(texts)
    network = plain.backend.model.to("cpu")  # type: ignore[attr-defined]
    network.set_attn_implementation("eager")  # the fused kernel has no ONNX form

    class Logits(torch.nn.Module):  # type: ignore[misc]
        """The network as ids and mask to logits, under those names."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.network(input_ids=input_ids, attention_mask=attention_mask).logits

    # Two tensors: of one given twice the exporter would make one input.
    example = torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long)
    free = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        Logits().eval(),
        example,
        dynamo=True,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_shapes=({0: free, 1: free}, {0: free, 1: free}),
    )
    with tempfile.TemporaryDirectory() as place:
        full, small = Path(place) / NAMES[0], Path(place) / NAMES[1]
        program.save(str(full), external_data=False)
        graph = onnx.load(str(full))
        del graph.graph.value_info[:]  # its shapes are too narrow for the quantizer
        bare = Path(place) / "bare.onnx"
        onnx.save(graph, str(bare))
        quantize_dynamic(str(bare), str(small), weight_type=QuantType.QInt8)
        for made in (full, small):
            with files.replacing(folder / made.name) as temporary:
                shutil.copyfile(made, temporary)
    apart = _apart(folder, wanted, texts)
    facts = {"n_texts": len(texts), "heads": plain.heads, **apart}
    if float(apart["fp32"]["largest_difference"]) > probe.TOLERANCE["fp32"]:
        raise IntegrityError(
            f"{folder.name}: the exported network is not the network",
            details=[f"scores differ by {apart['fp32']['largest_difference']}"],
        )
    files.write_bytes(folder / "export.json", json.dumps(facts, indent=1, sort_keys=True).encode())
    return facts


def _apart(
    folder: Path, wanted: "npt.NDArray[np.float32]", texts: list[str]
) -> dict[str, dict[str, Any]]:
    """By precision: size of the file, and how far its scores are from `wanted`."""
    import numpy as np

    facts = {}
    for precision in ("fp32", "int8"):
        found, _ = _opened(folder, "onnx", precision).scores(texts)
        apart = np.abs(found - wanted)
        facts[precision] = {
            "bytes": (folder / f"model.{precision}.onnx").stat().st_size,
            "largest_difference": format(float(apart.max()), ".6f"),
            "mean_difference": format(float(apart.mean()), ".6f"),
        }
    return facts


def _opened(folder: Path, backend: str, precision: str) -> Detoxify:
    options = {"model": str(folder), "backend": backend, "precision": precision}
    return Detoxify(declare("detoxify", {"kind": "detoxify", **options}, where="export"))
