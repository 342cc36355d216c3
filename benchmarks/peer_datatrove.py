"""
Turn a C4 dump into shuffled tokens with datatrove's own blocks; runs in datatrove's environment.

    python peer_datatrove.py tokens INPUT_FOLDER TOKENIZER OUT
    python peer_datatrove.py whole  INPUT_FOLDER TOKENIZER OUT MODEL

`tokens`: JsonlReader, DocumentTokenizer (shuffling). `whole`: the same with a fastText filter
between, then DocumentTokenizerMerger (shuffling).
"""

import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer, DocumentTokenizerMerger


def main(job: str, folder: str, tokenizer: str, out: str, model: str = "") -> None:
    """Run one job with one task."""
    steps = [JsonlReader(folder, glob_pattern="*.json.gz", id_key="url")]
    if job == "whole":
        from datatrove.pipeline.filters import FastTextClassifierFilter

        steps.append(
            FastTextClassifierFilter(model, remove_labels=[("toxic", 0.5)], newline_replacement=" ")
        )
    steps.append(
        DocumentTokenizer(
            f"{out}/tokens", tokenizer_name_or_path=tokenizer, eos_token="<|endoftext|>", seed=7
        )
    )
    LocalPipelineExecutor(pipeline=steps, tasks=1, logging_dir=f"{out}/log1").run()
    if job == "whole":
        merge = DocumentTokenizerMerger(f"{out}/tokens", f"{out}/merged", "mix", seed=7)
        LocalPipelineExecutor(pipeline=[merge], tasks=1, logging_dir=f"{out}/log2").run()
    if not list(Path(out).rglob("*.ds")):
        sys.exit("datatrove wrote no tokens")


main(*sys.argv[1:])
