"""
Turn a recipe's `[tagger.<name>]` into a declaration: every option said, the model by its digest.

    >>> made = declare("toxicity", {"model": "builtin:toxicity"}, where="demo.toml")
    >>> made["kind"], made["granularity"], made["label"]
    ('fasttext', 'document', 'toxic')
    >>> declare("tox", {"modle": "builtin:toxicity"}, where="demo.toml")
    Traceback (most recent call last):
      ...
    curate.errors.RecipeError: demo.toml: [tagger.tox] has no option "modle"; did you mean "model"?
"""

import difflib
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from curate.errors import RecipeError
from curate.taggers import checkpoint, given, shelf
from curate.taggers.words import NORMALISATIONS

FORMAT = 1
"""Of the columns' bytes: raise it when a tagger gives other numbers for the same declaration."""

GRANULARITIES = ("document", "post", "sentence")
_PRECISIONS = {"torch": ("fp32", "bf16"), "onnx": ("fp32", "int8")}
_COMMON = ("kind",)
_MODEL = ("model", "sha256", "license", "granularity", "over")
_SAMPLED = ("calibrates", "sample", "seed")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "fasttext": (*_COMMON, *_MODEL, *_SAMPLED, "label", "normalise"),
    "detoxify": (*_COMMON, *_MODEL, *_SAMPLED, "precision", "backend", "window", "overlap"),
    "language": (*_COMMON, "model", "sha256", "license"),
    "perspective": (*_COMMON, "head"),
    "wordlist": (*_COMMON, "words", "files", "license"),
}
KINDS = tuple(_OPTIONS)


def declare(name: str, options: Mapping[str, object], *, where: str) -> dict[str, Any]:
    """
    The canonical declaration of a tagger: plain values only, ready to be fingerprinted.

    `where` names the recipe in errors. `model` is as written; a path is found from the working
    folder. RecipeError for a mistake, InputError for a model that is not there.
    """
    place = f"{where}: [tagger.{name}]"
    kind = _kind(options, place)
    _known(options, _OPTIONS[kind], place)
    made: dict[str, Any] = {"name": name, "kind": kind, "format": FORMAT}
    if kind == "perspective":
        head = _text(options, "head", place) or given.HEADS[0]
        _one_of(head, given.HEADS, "head", place)
        return {**made, "head": head}
    if kind == "wordlist":
        return {**made, **_wordlist(options, place)}
    made |= _model(options, kind, place)
    if kind == "language":
        return made
    made |= _granularity(options, place)
    made |= _sampled(options, place)
    if kind == "detoxify":
        _, heads = checkpoint.described(shelf.place(made))
        longest = checkpoint.longest(shelf.place(made))
        return {**made, "heads": heads, **_detoxify(options, longest, place)}
    card = shelf.card(shelf.place(made))
    label = _text(options, "label", place) or str(card.get("label", ""))
    if not label:
        raise RecipeError(
            f"{place} does not say which label of its model is the score",
            hint='Add, for example, label = "toxic" (without the prefix __label__).',
        )
    normalise = _text(options, "normalise", place) or str(card.get("normalise", "lines"))
    _one_of(normalise, NORMALISATIONS, "normalise", place)
    return {**made, "label": label.removeprefix("__label__"), "normalise": normalise}


def declare_all(
    tables: Mapping[str, Mapping[str, object]], *, where: str
) -> dict[str, dict[str, Any]]:
    """
    Declarations of all taggers of a recipe, those that calibrate another one after it.

    A tagger with `calibrates` gets `cheap`: the declaration of the one it calibrates, since its
    columns depend on that. RecipeError if there is none of that name, or it calibrates itself.
    """
    made = {name: declare(name, each, where=where) for name, each in sorted(tables.items())}
    for name, each in made.items():
        cheap = each.get("calibrates")
        if cheap is None:
            continue
        if cheap not in made or "calibrates" in made[cheap] or cheap == name:
            raise RecipeError(
                f'{where}: [tagger.{name}] calibrates = "{cheap}", which is no tagger on its own',
                hint="Taggers: " + ", ".join(n for n in made if "calibrates" not in made[n]),
            )
        each["cheap"] = identity(made[cheap])
    return dict(sorted(made.items(), key=lambda item: ("calibrates" in item[1], item[0])))


def identity(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the columns: all of a declaration but the model's name and its licence."""
    return {key: value for key, value in declaration.items() if key not in ("model", "license")}


def _kind(options: Mapping[str, object], place: str) -> str:
    kind = _text(options, "kind", place)
    if kind:
        _one_of(kind, KINDS, "kind", place)
        return kind
    if "words" in options or "files" in options:
        return "wordlist"
    model = _text(options, "model", place)
    if not model and not any(key in options for key in ("model", "words", "files")):
        everything = sorted({key for keys in _OPTIONS.values() for key in keys})
        _known(options, everything, place)
        raise RecipeError(
            f"{place} names no model",
            hint='Add model = "builtin:toxicity", or kind = "perspective".',
        )
    if model.startswith(shelf.BUILTIN) or model.endswith((".ftz", ".bin")):
        return "fasttext"
    return "detoxify"


def _known(options: Mapping[str, object], known: "tuple[str, ...] | list[str]", place: str) -> None:
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise RecipeError(f'{place} has no option "{key}"; did you mean "{near[0]}"?')


def _model(options: Mapping[str, object], kind: str, place: str) -> dict[str, Any]:
    model = _text(options, "model", place)
    if not model:
        raise RecipeError(f"{place} names no model")
    pinned = _text(options, "sha256", place).lower()
    if pinned and not re.fullmatch("[0-9a-f]{64}", pinned):
        raise RecipeError(f"{place} sha256 is not 64 hex digits")
    if kind == "detoxify" and not shelf.is_remote(model) and not Path(model).exists():
        raise RecipeError(
            f'{place} model = "{model}" is not a local folder or checkpoint',
            hint="Models are loaded offline: docs/taggers.md says how to lay out the folder.",
        )
    path = shelf.located(model, pinned)
    if pinned:
        shelf.checked(path, pinned)
    return {
        "model": model,
        "sha256": shelf.digest(path),
        "license": _text(options, "license", place) or str(shelf.card(path).get("license", "")),
    }


def _granularity(options: Mapping[str, object], place: str) -> dict[str, Any]:
    granularity = _text(options, "granularity", place) or "document"
    _one_of(granularity, GRANULARITIES, "granularity", place)
    if granularity == "document":
        if "over" in options:
            raise RecipeError(f"{place} over = … needs granularity = post or sentence")
        return {"granularity": granularity}
    over = _fraction(options.get("over", "1/2"), f"{place} over")
    if not 0 <= over <= 1:
        raise RecipeError(f"{place} over = {over} is not between 0 and 1")
    return {"granularity": granularity, "over": over}


def _sampled(options: Mapping[str, object], place: str) -> dict[str, Any]:
    calibrates = _text(options, "calibrates", place)
    if not calibrates:
        if "sample" in options or "seed" in options:
            raise RecipeError(f'{place} samples nothing: say calibrates = "<cheap tagger>"')
        return {}
    sample, seed = options.get("sample", 20_000), options.get("seed", 0)
    if not isinstance(sample, int) or isinstance(sample, bool) or sample < 1:
        raise RecipeError(f"{place} sample = {sample!r} is not a number of documents")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 1 << 53:
        raise RecipeError(f"{place} seed = {seed!r} is not a whole number from 0")
    return {"calibrates": calibrates, "sample": sample, "seed": seed}


def _detoxify(options: Mapping[str, object], longest: int, place: str) -> dict[str, Any]:
    backend = _text(options, "backend", place) or "torch"
    _one_of(backend, tuple(_PRECISIONS), "backend", place)
    precision = _text(options, "precision", place) or "fp32"
    if precision not in _PRECISIONS[backend]:
        raise RecipeError(
            f'{place} precision = "{precision}"; with backend = "{backend}" it is one of '
            + ", ".join(_PRECISIONS[backend])
        )
    window = options.get("window", longest)
    if not isinstance(window, int) or not 8 <= window <= longest:
        raise RecipeError(f"{place} window = {window!r} is not from 8 to {longest} tokens")
    overlap = options.get("overlap", window // 8)
    if not isinstance(overlap, int) or not 0 <= overlap <= window // 2:
        raise RecipeError(f"{place} overlap = {overlap!r} is not from 0 to half the window")
    return {"backend": backend, "precision": precision, "window": window, "overlap": overlap}


def _wordlist(options: Mapping[str, object], place: str) -> dict[str, Any]:
    words = options.get("words", [])
    paths = options.get("files", [])
    if not isinstance(words, list) or not all(isinstance(each, str) for each in words):
        raise RecipeError(f"{place} words is not a list of strings")
    if not isinstance(paths, list) or not all(isinstance(each, str) for each in paths):
        raise RecipeError(f"{place} files is not a list of paths")
    found = {word.strip().lower() for word in words}
    for path in paths:
        lines = shelf.located(path).read_text(encoding="utf-8").split("\n")
        found |= {line.strip().lower() for line in lines if not line.startswith("#")}
    found.discard("")
    if not found:
        raise RecipeError(f"{place} lists no words")
    if len(found) > 20_000:
        raise RecipeError(f"{place} lists {len(found):,} words; at most 20,000 are matched")
    return {"words": sorted(found), "license": _text(options, "license", place)}


def _text(options: Mapping[str, object], key: str, place: str) -> str:
    value = options.get(key, "")
    if not isinstance(value, str):
        raise RecipeError(f"{place} {key} = {value!r} is not a string")
    return value


def _fraction(value: object, place: str) -> Fraction:
    try:
        if isinstance(value, str | int | Fraction) and not isinstance(value, bool):
            return Fraction(value)
    except (ValueError, ZeroDivisionError):
        pass
    raise RecipeError(f"{place} = {value!r} is not a number")


def _one_of(value: str, known: tuple[str, ...], key: str, place: str) -> None:
    if value not in known:
        raise RecipeError(f'{place} {key} = "{value}"; it is one of {", ".join(known)}')
