"""
Turn a model and its measured numbers into its card: JSON for programs, Markdown for people.

The Markdown is made from the JSON and from the prose beside it, so no number is typed in;
`curate tagger evaluate --check` measures again and compares.

    >>> row(["set", "AUROC"]), row(["tweets", "0.9"])
    ('| set | AUROC |', '| tweets | 0.9 |')
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate import files
from curate.errors import IntegrityError
from curate.taggers import shelf
from curate.taggers.training import TrainingRecipe

FORMAT = "curate-model/1"
DETERMINISM = "exact for one wheel of fastText on x86-64 Linux; within 1e-4 elsewhere"


def written(path: Path, card: Mapping[str, Any]) -> None:
    """Write `<model>.json`, its keys sorted."""
    body = json.dumps(card, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    files.write_bytes(path, body.encode())


def compared(recorded: Mapping[str, Any], found: Mapping[str, Any], *, what: str) -> int:
    """How many numbers agree; IntegrityError naming the first that differs or is missing."""
    before, after = dict(_leaves(recorded)), dict(_leaves(found))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            raise IntegrityError(
                f"{what} does not reproduce: {name}",
                details=[f"card {before.get(name)}", f"here {after.get(name)}"],
            )
    return len(before)


def like(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded numbers of those kinds that were measured now: what `compared` compares."""
    kept = {name: recorded.get(name) for name in found if name != "beside"}
    if "beside" in found:
        beside = recorded.get("beside", {})
        kept["beside"] = {name: beside.get(name) for name in found["beside"]}
    return kept


def updated(path: Path, recipe: TrainingRecipe, found: Mapping[str, Any]) -> None:
    """Write the card of the model at `path` with the numbers `found`; other numbers stay."""
    from curate.taggers.evaluate import golden

    old = shelf.card(path)
    metrics = {**old.get("metrics", {}), **found}
    metrics["beside"] = {**old.get("metrics", {}).get("beside", {}), **found.get("beside", {})}
    made = {
        "format": FORMAT,
        "name": recipe.name,
        "version": recipe.version,
        "sha256": files.sha256_of(path),
        "bytes": path.stat().st_size,
        "label": recipe.label,
        "normalise": recipe.normalise,
        "license": recipe.license,
        "determinism": DETERMINISM,
        "golden": golden(path, recipe),
        "trained_on": [
            {"set": each.name, "files": list(each.files), "license": each.license}
            for each in (*recipe.sets, *(one.source for one in recipe.unlabelled))
            if each.test < 1
        ],
        "metrics": metrics,
    }
    written(path.with_suffix(".json"), made)
    prose = recipe.path.with_suffix(".card.md").read_text(encoding="utf-8")
    files.write_bytes(path.with_suffix(".md"), markdown(made, prose).encode())


def summary(found: Mapping[str, Any]) -> list[str]:
    """The numbers as plain tables."""
    return [line for name, made in _metrics(found).items() for line in (name, *made, "")]


def markdown(card: Mapping[str, Any], prose: str) -> str:
    """The card as Markdown: `prose` with each `{{name}}` replaced by the table of that name."""
    tables = {
        "facts": _facts(card),
        "golden": _golden(card),
        **{name: "\n".join(made) for name, made in _metrics(card.get("metrics", {})).items()},
    }
    for name, made in tables.items():
        prose = prose.replace("{{" + name + "}}", made)
    return prose


def row(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [row(header), row(["---"] * len(header)), *map(row, rows)]


def _facts(card: Mapping[str, Any]) -> str:
    said = [
        ("file", f"`{card['name']}.ftz`, {card['bytes']:,} bytes"),
        ("sha256", f"`{card['sha256']}`"),
        ("version", card["version"]),
        ("score", f"P(`{card['label']}`), float32"),
        ("normalisation", f"`{card['normalise']}`"),
        ("determinism", card["determinism"]),
        ("licence", card["license"]),
    ]
    return "\n".join(_table(["", ""], said))


def _golden(card: Mapping[str, Any]) -> str:
    rows = [(each["text"], each["score"]) for each in card["golden"]]
    return "\n".join(_table(["sentence", "score"], rows))


def _metrics(found: Mapping[str, Any]) -> dict[str, list[str]]:
    if not found:
        return {}
    sets = {**found["sets"], "all": found["all"]}
    beside = found.get("beside", {})
    ranks = [
        [name, f"{m['n']:,}", f"{m['n_toxic']:,}", m["auroc"]]
        + [beside.get(which, {}).get(name, "") for which in ("linear",)]
        + [m["average_precision"], m["ece"]]
        for name, m in {**sets, "madlibs (not in all)": found["identity_terms"]}.items()
    ]
    points = [
        [name, threshold, m["at"][threshold]["precision"], m["at"][threshold]["recall"],
         m["at"][threshold]["false_positive_rate"]]
        for name, m in sets.items()
        for threshold in ("0.5", "0.9")
    ]  # fmt: skip
    terms = found["identity_terms"]
    return {
        "sets": _table(
            ["set", "rows", "toxic", "AUROC", "TF-IDF", "average precision", "ECE"], ranks
        ),
        "points": _table(["set", "at", "precision", "recall", "false positives"], points),
        "identity": _table(
            ["at", "precision", "recall", "false positives"],
            [[t, *terms["at"][t].values()] for t in terms["at"]],
        ),
        "clean": _table(
            ["documents", "n", "over 0.25", "over 0.5", "over 0.75"],
            [
                [name, f"{m['n']:,}"]
                + [m["at"][t]["false_positive_rate"] for t in ("0.25", "0.5", "0.75")]
                for name, m in found["clean"].items()
            ],
        ),
        "length": _table(
            ["documents", "first words", "n", "mean", "99 % point", "over 0.5"],
            [
                [name, words, *m.values()]
                for name, lengths in found["length"].items()
                for words, m in lengths.items()
            ],
        ),
        "unseen": _table(
            ["set never trained on", "AUROC", "TF-IDF"],
            [
                [name, value, beside.get("linear_unseen", {}).get(name, "")]
                for name, value in beside.get("unseen", {}).items()
            ],
        ),
    }


def _leaves(value: Any, name: str = "") -> "list[tuple[str, str]]":
    if isinstance(value, Mapping):
        return [leaf for key in value for leaf in _leaves(value[key], f"{name}.{key}".lstrip("."))]
    if isinstance(value, list):
        return [leaf for n, each in enumerate(value) for leaf in _leaves(each, f"{name}[{n}]")]
    return [(name, str(value))]
