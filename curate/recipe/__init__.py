"""
Turn a TOML recipe into values that say, exactly, what is to be mixed.

    >>> recipe = parse('''
    ... name = "tiny"
    ... version = "1.0.0"
    ... [tokenizer]
    ... file = "builtin:demo"
    ... eos = "<|endoftext|>"
    ... [source.web]
    ... reader = "c4"
    ... files = ["web.json.gz"]
    ... license = "ODC-BY-1.0"
    ... [source.pol]
    ... reader = "4chan"
    ... files = ["pol.ndjson.zst"]
    ... license = "CC-BY-4.0"
    ... [component.clean]
    ... source = "web"
    ... tokens = 1_000
    ... [component.toxic]
    ... source = "pol"
    ... of = "clean"
    ... [sweep]
    ... toxic.share = [0, 0.05, "1/10"]
    ... ''', Path("tiny.toml"))
    >>> for arm in recipe.arms():
    ...     print(recipe.mix_name(arm), arm.components[1].budget.text)
    tiny-00pct share 0
    tiny-05pct share 1/20
    tiny-10pct share 1/10

`curate schema recipe` prints the language as a JSON Schema.
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from curate.errors import RecipeError, UsageError
from curate.recipe.arms import MAX_ARMS, axes, controls, points
from curate.recipe.components import check_budgets, refuse_idle, refuse_phases
from curate.recipe.components import read as read_component
from curate.recipe.model import (
    LAYOUTS,
    MAX_SHARD_TOKENS,
    OVERLAPS,
    Arm,
    Budget,
    Component,
    Control,
    Holdout,
    MixDecl,
    Recipe,
    SourceDecl,
    TaggerDecl,
    TokenizerDecl,
)
from curate.recipe.read import Table, nearest
from curate.recipe.read import parse as parse_toml

__all__ = [
    "Arm",
    "Budget",
    "Component",
    "Control",
    "Holdout",
    "MixDecl",
    "Recipe",
    "SourceDecl",
    "TaggerDecl",
    "TokenizerDecl",
    "build",
    "load",
    "parse",
]

MAX_RECIPE_BYTES = 1 << 20
_TABLES = ("tokenizer", "source", "tagger", "component", "mix", "sweep", "control", "holdout")


def load(path: Path) -> Recipe:
    """The recipe in a file; RecipeError names file, line, key, reason and way out."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_RECIPE_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        reason = (error.strerror or "cannot be read").lower()
        raise UsageError(
            f"recipe {path}: {reason}", hint=f"curate init {path} writes a commented one."
        ) from None
    if len(raw) > MAX_RECIPE_BYTES:
        raise RecipeError(f"{path}: larger than 1 MiB", hint="Is this a recipe?")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 at byte {error.start}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Recipe:
    """The recipe that `text` is; `path` is for messages, and for files named relative to it."""
    return build(parse_toml(text, path), text, path)


def build(data: Mapping[str, Any], text: str, path: Path) -> Recipe:
    """The recipe in already parsed TOML (decimals as Fractions)."""
    top = Table(data, path, text)
    top.only("name", "version", "seed", *_TABLES)
    name = top.string("name", hint='Add: name = "my-mix"')
    if name:
        top.check_name(name)
    version = top.string(
        "version",
        pattern=r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?",
        hint='Write three numbers: version = "1.0.0"',
    )
    sources = {name: _source(table) for name, table in top.named("source")}
    if not sources:
        raise top.error("", "has no source", "Add a table [source.NAME].")
    components = {
        name: read_component(table, list(sources)) for name, table in top.named("component")
    }
    if not components:
        raise top.error("", "has no component", "Add a table [component.NAME].")
    mix = _mix(top.table("mix"))
    arms = _arms(top, sources, components, mix)
    holdout = _holdout(top, sources)
    if mix.layout == "by-source":
        refuse_phases(top, components.values())
    refuse_idle(top, components.values(), arms, holdout, sources)
    return Recipe(
        path=path,
        text=text,
        data=data,
        name=name,
        version=version,
        seed=top.whole("seed") if "seed" in top else 0,
        tokenizer=_tokenizer(top),
        sources=sources,
        taggers={name: TaggerDecl(name, dict(table.data)) for name, table in top.named("tagger")},
        components=components,
        sweep={
            f"{table}.{key}".lstrip("."): values
            for table, key, values in axes(top.table("sweep"), list(components))
        },
        controls={
            name: Control(
                name,
                str(table.data.get("like", "")),
                dict(table.data["replace"]),
            )
            for name, table in top.named("control")
        },
        holdout=holdout,
        mix=mix,
        all_arms=arms,
    )


def _tokenizer(top: Table) -> TokenizerDecl:
    table = top.table("tokenizer")
    known = ("file", "eos", "bos", "max_document_tokens")
    return TokenizerDecl(
        file=table.string("file", hint='Add: file = "builtin:demo", or a path to a tokenizer.json'),
        eos=table.string("eos", hint='Add: eos = "<|endoftext|>" (its text; the id is looked up)'),
        bos=table.string("bos") if "bos" in table else None,
        max_document_tokens=(
            table.whole("max_document_tokens", least=4, most=MAX_SHARD_TOKENS)
            if "max_document_tokens" in table
            else None
        ),
        options={key: value for key, value in table.data.items() if key not in known},
    )


def _source(table: Table) -> SourceDecl:
    known = ("reader", "files", "license", "terms")
    return SourceDecl(
        name=table.keys[-1],
        reader=table.string("reader", hint='Add: reader = "c4" (or "4chan", "jsonl", …)'),
        files=table.strings("files"),
        license=table.string("license", hint='Add: license = "ODC-BY-1.0" (or "unknown")'),
        terms=table.string("terms") if "terms" in table else "",
        options={key: value for key, value in table.data.items() if key not in known},
    )


def _mix(table: Table) -> MixDecl:
    table.only("tokens", "shard_tokens", "layout", "overlap", "dropped")
    return MixDecl(
        tokens=table.whole("tokens") if "tokens" in table else None,
        shard_tokens=(
            table.whole("shard_tokens", least=1, most=MAX_SHARD_TOKENS)
            if "shard_tokens" in table
            else MixDecl.shard_tokens
        ),
        layout=table.choice("layout", LAYOUTS),
        overlap=table.choice("overlap", OVERLAPS),
        dropped=table.flag("dropped"),
    )


def _holdout(top: Table, sources: Mapping[str, SourceDecl]) -> Holdout | None:
    if "holdout" not in top:
        return None
    table = top.table("holdout")
    table.only("tokens", "sources")
    chosen = table.strings("sources") if "sources" in table else tuple(sources)
    for name in chosen:
        if name not in sources:
            raise table.error(
                "sources", f"names no source: {name!r}", f"Sources: {', '.join(sources)}."
            )
    return Holdout(table.whole("tokens", least=1), tuple(sorted(set(chosen))))


def _arms(
    top: Table,
    sources: Mapping[str, SourceDecl],
    components: Mapping[str, Component],
    mix: MixDecl,
) -> tuple[Arm, ...]:
    found = axes(top.table("sweep"), list(components))
    for outer, key, _ in found:
        outer_table = top if not outer else top.table("mix")
        if outer not in ("", "mix"):
            outer_table = top.table("component").table(outer)
        if key in outer_table and outer:
            raise outer_table.error(key, "is written here and in [sweep]", "Leave one out.")
    made = points(found)
    if len(made) > MAX_ARMS:
        raise top.error("sweep", f"makes {len(made):,} arms", f"At most {MAX_ARMS:,}.")
    arms = [_arm(top, sources, mix, name, values) for name, values in made]

    def declared(name: str) -> Component:
        if name not in components:
            guess = nearest(name, list(components))
            raise top.error(
                "control", f"names no component: {name!r}", f"Did you mean {guess}?" * bool(guess)
            )
        return components[name]

    arms += controls(top, arms, declared)
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1 or name == "holdout":
            raise top.error(
                "control" if name in top.table("control") else "sweep",
                f"makes two mixes named {name!r}",
                "Rename the control or the component.",
            )
    return tuple(arms)


def _arm(
    top: Table,
    sources: Mapping[str, SourceDecl],
    mix: MixDecl,
    name: str,
    values: Mapping[tuple[str, str], Any],
) -> Arm:
    present = []
    for component, table in top.named("component"):
        chosen = {key: value for (outer, key), value in values.items() if outer == component}
        merged = Table({**table.data, **chosen}, table.path, table.text, table.keys)
        made = read_component(merged, list(sources))
        if made.budget is not None:
            present.append(made)
    total = mix.tokens
    if ("mix", "tokens") in values:
        total = Table({"tokens": values["mix", "tokens"]}, top.path, top.text, ("mix",)).whole(
            "tokens"
        )
    seed = top.whole("seed") if "seed" in top else 0
    check_budgets(top, present, total)
    return Arm(
        name=name,
        settings={
            f"{outer}.{key}".lstrip("."): _as_text(value) for (outer, key), value in values.items()
        },
        seed=int(values.get(("", "seed"), seed)),
        total=total,
        components=tuple(present),
    )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(Fraction(value))
