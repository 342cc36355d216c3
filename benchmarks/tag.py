"""
Turn the same documents and the same model into the speed of each way to tag them.

    python benchmarks/tag.py                        fastText: the library, us, datatrove's filter
    python benchmarks/tag.py --detoxify FOLDER      also each Detoxify backend, on a sample

CPU seconds of one thread, best of the rounds, after one batch to warm up; every way gets a list of
texts and gives a score for each. The bare library is its list predict over lines that were made
ready outside the clock. A part tagged is the whole stage: Parquet in, Parquet and receipt out.
All of them spend their time in the library; on pages nothing else is left to save, on posts the
filter's work per document is.
"""

# ruff: noqa: E402 - threads are limited before the first import that asks how many

import os

for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import corpus
from curate import taggers
from curate.taggers import shelf, work
from curate.taggers.fasttext import FastText
from curate.taggers.words import normalised

Way = Callable[[list[str]], Any]


def cpu_seconds(way: Way, texts: list[str], rounds: int) -> float:
    """Least processor time of `rounds` runs over all texts."""
    way(texts[:50])
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        way(texts)
        best = min(best, time.process_time() - began)
    return best


def datatrove_filter(path: Path) -> Way:
    """datatrove's fastText filter in annotate mode, let in with another build of fastText."""
    from datatrove.data import Document
    from datatrove.pipeline import base
    from datatrove.pipeline.filters import fasttext_filter

    base.check_required_dependencies = lambda *_: None  # it accepts one wheel's name only
    block = fasttext_filter.FastTextClassifierFilter(
        str(path), remove_labels=("toxic", 2.0), newline_replacement=" "
    )
    block._model = fasttext.load_model(str(path))  # else it copies the file to a cache first
    return lambda texts: [block.filter(Document(text=t, id="")) for t in texts]


def whole_stage(texts: list[str], folder: Path, options: dict[str, object]) -> Way:
    """`taggers.tag_part` over one documents part that is on the disk."""
    told = taggers.declare("toxicity", options, where="benchmark")
    sizes = pl.Series([len(t.encode()) for t in texts], dtype=pl.UInt32)
    pl.DataFrame({"text": texts, "n_bytes": sizes}).write_parquet(folder / "part.parquet")
    work.opened(told)
    return lambda _: taggers.tag_part(
        folder / "part.parquet", told, out=folder, part="tagged", progress=lambda n: None
    )


def shipped(texts: list[str], rounds: int) -> None:
    """The table of the shipped fastText model."""
    path = shelf.located("builtin:toxicity")
    ours, library = FastText(path, "marked"), fasttext.load_model(str(path))
    ready = normalised(pl.Series(texts), "marked")
    column = pl.Series(texts)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        ways: dict[str, tuple[Way, list[str]]] = {
            "fastText's list predict, bare": (lambda t: library.predict(t, k=2), ready),
            "our adapter, words made ready too": (
                lambda t: ours.scores(column if t is texts else pl.Series(t), "toxic"),
                texts,
            ),
            "a part tagged, whole stage": (
                whole_stage(texts, folder, {"model": "builtin:toxicity"}),
                texts,
            ),
            "the same, by sentences": (
                whole_stage(
                    texts, folder, {"model": "builtin:toxicity", "granularity": "sentence"}
                ),
                texts,
            ),
            "datatrove's filter": (datatrove_filter(path), texts),
        }
        table(ways, texts, rounds)


def detoxify(folder: Path, texts: list[str], rounds: int) -> None:
    """The table of each backend that is installed and exported."""
    import torch

    torch.set_num_threads(1)
    ways: dict[str, tuple[Way, list[str]]] = {}
    plain: np.ndarray[Any, Any] | None = None
    for backend, precision in (
        ("torch", "fp32"), ("torch", "bf16"), ("onnx", "fp32"), ("onnx", "int8"),
    ):  # fmt: skip
        if backend == "onnx" and not (folder / f"model.{precision}.onnx").is_file():
            continue
        options = {"model": str(folder), "backend": backend, "precision": precision}
        tagger: Any = work.loaded(taggers.declare("detoxify", options, where="benchmark"))
        found, _ = tagger.scores(texts)
        plain = found if plain is None else plain
        apart = np.abs(found - plain)
        print(
            f"{backend} {precision}: largest difference {apart.max():.5f}, mean {apart.mean():.5f}"
        )
        ways[f"detoxify {backend} {precision}"] = (tagger.scores, texts)
    table(ways, texts, rounds)


def table(ways: dict[str, tuple[Way, list[str]]], texts: list[str], rounds: int) -> None:
    """Documents and MB of text per core-second, and the ratio to the first way."""
    n_bytes = sum(len(t.encode()) for t in texts)
    print(f"{len(texts):,} documents, {n_bytes:,} bytes")
    print(f"{'':<36}{'docs/core-s':>12}{'MB/core-s':>11}{'ratio':>8}")
    first = None
    for name, (way, given) in ways.items():
        spent = cpu_seconds(way, given, rounds)
        first = first or spent
        rate, speed = len(texts) / spent, n_bytes / spent / 1e6
        print(f"{name:<36}{rate:>12,.0f}{speed:>11.3f}{first / spent:>8.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--detoxify", type=Path, help="a model folder")
    parser.add_argument("--sample", type=int, default=200, help="documents for Detoxify")
    options = parser.parse_args()
    texts = list(corpus.texts(options.shared, n_bytes=options.megabytes << 20))
    print("pages")
    shipped(texts, options.rounds)
    print("posts: their lines of 60 to 400 characters")
    lines = [line for text in texts for line in text.split("\n") if 60 <= len(line) <= 400]
    shipped(lines, options.rounds)
    if options.detoxify:
        detoxify(options.detoxify, texts[: options.sample], options.rounds)


if __name__ == "__main__":
    main()
