"""
Turn what a recipe says into plain values that every stage can hold.

Only the shapes are here; `curate.recipe` reads them from TOML. Shares and epochs are exact:

    >>> Budget("share", Fraction(1, 4)).text
    'share 1/4'
    >>> Component("toxic", "pol", budget=Budget("epochs", Fraction(2))).epoch_limit
    Fraction(2, 1)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from curate.recipe.where import Clause

LAYOUTS = ("interleaved", "by-source")
"""Who mixes: the stream, or the trainer."""
OVERLAPS = ("error", "first")
"""What a document of two components is: a mistake, or the first's."""
MAX_SHARD_TOKENS = 2**30
"""What the narrowest of the trainers' formats can hold."""
TOTAL = "total"
"""The denominator of a share that names none."""


@dataclass(frozen=True)
class TokenizerDecl:
    """`[tokenizer]`: which file, and the text of its end-of-sequence token."""

    file: str
    eos: str
    bos: str | None = None
    max_document_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceDecl:
    """
    `[source.NAME]`: a reader, its files and their licence; `options` are the reader's.

    `terms` are what it may be used for, beyond the licence: a URL or a sentence.
    """

    name: str
    reader: str
    files: tuple[str, ...]
    license: str
    options: Mapping[str, Any] = field(default_factory=dict)
    terms: str = ""


@dataclass(frozen=True)
class TaggerDecl:
    """`[tagger.NAME]`: `options` are the tagger's."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Budget:
    """How much of a component: `kind` is tokens, documents, bytes, epochs, share or rest."""

    kind: str
    amount: Fraction = Fraction(0)

    @property
    def text(self) -> str:
        """As settings and errors show it."""
        return "rest" if self.kind == "rest" else f"{self.kind} {self.amount}"


@dataclass(frozen=True)
class Component:
    """
    `[component.NAME]`: a source, a `where` over its tags, a budget.

    `phases` are (fraction of the stream, relative density); empty means even. `budget` is None
    only for a component that nothing but a control uses.
    """

    name: str
    source: str
    where: tuple[Clause, ...] = ()
    budget: Budget | None = None
    of: str = TOTAL
    max_epochs: Fraction | None = None
    phases: tuple[tuple[Fraction, Fraction], ...] = ()

    @property
    def epoch_limit(self) -> Fraction:
        """Most passes over the eligible documents: one, unless the recipe says more."""
        if self.max_epochs is not None:
            return self.max_epochs
        if self.budget is not None and self.budget.kind == "epochs":
            return max(Fraction(1), self.budget.amount)
        return Fraction(1)


@dataclass(frozen=True)
class Control:
    """`[control.NAME]`: the arm `like`, with components replaced token for token."""

    name: str
    like: str
    replace: Mapping[str, str]


@dataclass(frozen=True)
class Holdout:
    """`[holdout]`: tokens per source that are never mixed, in whole threads or URLs."""

    tokens: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class MixDecl:
    """
    `[mix]`: the total (if fixed), the size of a shard, the order, what an overlap means.

    With `dropped` a mix lists the documents that are not in it, and why (docs/format.md §5.8).
    """

    tokens: int | None = None
    shard_tokens: int = 268_435_456
    layout: str = "interleaved"
    overlap: str = "error"
    dropped: bool = False


@dataclass(frozen=True)
class Arm:
    """
    One point of a sweep, or a control; every arm gives one mix.

    `components` are in the recipe's order with the sweep's values filled in. For a control they
    are those of the arm it is like, and `replace` says which give way to which others.
    """

    name: str
    settings: Mapping[str, str]
    seed: int
    total: int | None
    components: tuple[Component, ...]
    like: str = ""
    replace: Mapping[str, Component] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A recipe as written; `data` is its TOML with decimals as exact fractions."""

    path: Path
    text: str
    data: Mapping[str, Any]
    name: str
    version: str
    seed: int
    tokenizer: TokenizerDecl
    sources: Mapping[str, SourceDecl]
    taggers: Mapping[str, TaggerDecl]
    components: Mapping[str, Component]
    sweep: Mapping[str, tuple[Any, ...]]
    controls: Mapping[str, Control]
    holdout: Holdout | None
    mix: MixDecl
    all_arms: tuple[Arm, ...] = ()

    def arms(self) -> tuple[Arm, ...]:
        """Every arm, the sweep's in the order of its lists, then the controls."""
        return self.all_arms

    def mix_name(self, arm: Arm) -> str:
        """Name of the mix an arm gives."""
        return f"{self.name}-{arm.name}" if arm.name else self.name

    @property
    def declaration(self) -> Mapping[str, Any]:
        """What the recipe declares, for fingerprints: the same however its text is laid out."""
        return self.data
