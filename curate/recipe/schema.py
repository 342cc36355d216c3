"""
Turn the language of recipes into a JSON Schema, with which editors complete and check.

    >>> schema()["properties"]["component"]["additionalProperties"]["properties"]["of"]["default"]
    'total'

Editors that speak TOML (taplo, Even Better TOML) take it from a line on top of the recipe:
`#:schema recipe.schema.json`. It knows the shape of a recipe; `curate plan` knows what fits.
"""

from typing import Any

from curate.recipe.model import LAYOUTS, MAX_SHARD_TOKENS, OVERLAPS, TOTAL, MixDecl
from curate.recipe.read import MAX_WHOLE, NAME

Schema = dict[str, Any]

NAMES: Schema = {"pattern": f"^{NAME.pattern}$", "maxLength": 64}

_FRACTION = {"type": "string", "pattern": r"^\s*(\d+\s*/\s*\d+|\d+(\.\d+)?\s*%?)\s*$"}


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "minLength": 1, "description": description, **more}


def _amount(description: str) -> Schema:
    return {
        "description": f'{description} A number, a decimal (exact), "1/3" or "10 %".',
        "oneOf": [{"type": "number", "minimum": 0}, _FRACTION],
    }


def _whole(description: str, least: int = 0, most: int = MAX_WHOLE, **more: Any) -> Schema:
    return {
        "description": description,
        "type": "integer",
        "minimum": least,
        "maximum": most,
        **more,
    }


def _table(
    description: str, properties: Schema, required: tuple[str, ...] = (), *, is_open: bool = False
) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(required),
        "additionalProperties": is_open,
    }


def _named(description: str, item: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "propertyNames": NAMES,
        "additionalProperties": item,
    }


def _list_of(item: Schema, description: str) -> Schema:
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": item} | {
        "description": description
    }


def schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a recipe read as TOML."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "curate recipe",
        "type": "object",
        "required": ["name", "version", "tokenizer", "source", "component"],
        "additionalProperties": False,
        "properties": {
            "name": _text(
                "Name of the mix, or of the family of mixes that a sweep makes.", **NAMES
            ),
            "version": _text(
                "Three numbers; a mix is <name>/<version>.",
                pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$",
            ),
            "seed": _whole("Decides the order in which documents are taken.", default=0),
            "tokenizer": _tokenizer(),
            "source": _named("Named streams of documents.", _source()),
            "tagger": _named("Numbers and flags about documents.", _tagger()),
            "component": _named("What a mix is made of.", _component()),
            "sweep": _sweep(),
            "control": _named("Arms that differ from another in one thing.", _control()),
            "holdout": _holdout(),
            "mix": _mix(),
        },
    }


def _tokenizer() -> Schema:
    properties = {
        "file": _text(
            'A path, "hf://owner/name/tokenizer.json", "tiktoken:gpt2" or "builtin:demo".'
        ),
        "eos": _text("Text of the token after every document; its id is looked up."),
        "bos": _text("Text of the token before every document; none if left out."),
        "max_document_tokens": _whole(
            "Longer documents are split into pieces.", 4, MAX_SHARD_TOKENS
        ),
    }
    return _table("How text becomes ids.", properties, ("file", "eos"), is_open=True)


def _source() -> Schema:
    properties = {
        "reader": _text('What reads the files: "c4", "4chan", "jsonl", "parquet", "text", "warc".'),
        "files": _list_of({"type": "string", "minLength": 1}, "Paths, globs or URLs."),
        "license": _text('SPDX identifier of the source, or "unknown".'),
        "terms": _text("What it may be used for, beyond the licence: a URL or a sentence."),
        "document": _text("4chan: what one document is.", enum=["thread", "post"]),
    }
    required = ("reader", "files", "license")
    return _table(
        "Files and what reads them; other keys are the reader's.",
        properties,
        required,
        is_open=True,
    )


def _tagger() -> Schema:
    properties = {"model": _text('"builtin:toxicity", a path or a URL.')}
    return _table("A tagger; other keys are its own.", properties, is_open=True)


def _component() -> Schema:
    budgets = {
        "tokens": _whole("So many tokens, EOS counted."),
        "documents": _whole("Whole documents, so many."),
        "bytes": _whole("Whole documents until so many bytes of text are reached."),
        "epochs": _amount("So many passes over the eligible documents."),
        "share": {
            "description": 'Exact part of the tokens of `of`, or "rest": what the others leave.',
            "oneOf": [{"type": "number", "minimum": 0}, _FRACTION, {"const": "rest"}],
        },
    }
    properties = {
        "source": _text("Name of a source."),
        "where": _text("Over tags and metadata: \"toxicity < 0.5 and language == 'en'\"."),
        **budgets,
        "of": _text('What `share` is a share of: "total" or a component.', default=TOTAL),
        "max_epochs": _amount("Most passes over the eligible documents; one if left out."),
        "phases": {
            "description": 'Relative density over stretches: [["80 %", 1], ["20 %", 0]].',
            "type": "array",
            "items": {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": _amount("Stretch of the stream, then density."),
            },
        },
    }
    table = _table("A source, what of it, and how much.", properties, ("source",))
    pairs = [
        {"required": [one, other]}
        for n, one in enumerate(budgets)
        for other in list(budgets)[n + 1 :]
    ]
    return {**table, "not": {"anyOf": pairs}}


def _sweep() -> Schema:
    values = {
        "share": _amount("A share."),
        "epochs": _amount("Passes."),
        "max_epochs": _amount("Most passes."),
        "tokens": _whole("Tokens."),
        "documents": _whole("Documents."),
        "bytes": _whole("Bytes."),
        "where": _text("A where."),
    }
    values["share"]["oneOf"].append({"const": "rest"})
    line = {name: _list_of(item, "One arm per value.") for name, item in values.items()}
    return {
        "type": "object",
        "description": "Lists whose values make arms; lines multiply.",
        "properties": {"seed": _list_of(_whole("A seed."), "Replicates.")},
        "propertyNames": NAMES,
        "additionalProperties": _table("Keys of a component (or of mix: tokens).", line),
    }


def _control() -> Schema:
    properties = {
        "like": _text('The arm it is like: "10pct".'),
        "replace": {
            "description": "Component → the one that takes its place, token for token.",
            "type": "object",
            "minProperties": 1,
            "propertyNames": NAMES,
            "additionalProperties": {"type": "string", **NAMES},
        },
    }
    return _table("An arm with components replaced.", properties, ("replace",))


def _holdout() -> Schema:
    properties = {
        "tokens": _whole("Tokens per source, in whole threads or URLs.", 1),
        "sources": _list_of(
            {"type": "string", **NAMES}, "Sources to hold out of; all if left out."
        ),
    }
    return _table("What is never mixed, the same in every arm.", properties, ("tokens",))


def _mix() -> Schema:
    return _table(
        "The whole.",
        {
            "tokens": _whole("Fixes the total (total-constant)."),
            "shard_tokens": _whole(
                "Most tokens of a shard.", 1, MAX_SHARD_TOKENS, default=MixDecl.shard_tokens
            ),
            "layout": _text("Who mixes: the stream or the trainer.", enum=list(LAYOUTS)),
            "overlap": _text(
                "What a document of two components is: a mistake, or the first's.",
                enum=list(OVERLAPS),
            ),
            "dropped": {
                "description": "Whether dropped.parquet lists what is not in the mix, and why.",
                "type": "boolean",
                "default": False,
            },
        },
    )
