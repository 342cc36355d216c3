"""
Turn the text of a `where` into clauses and trees that say what is compared with what.

    >>> [clause.text for clause in parse("toxicity < 0.5 and (language == 'en' or n_posts > 3)")]
    ['toxicity < 0.5', "(language == 'en' or n_posts > 3)"]
    >>> parse("0.2 <= insult")[0].tree
    Compare(left=Literal(value=Fraction(1, 5)), operator='<=', right=Name(name='insult'))

The language, smallest binding last: `or`, `and`, `not`, then comparisons `< <= > >= == !=` (also
chained), `in [...]`, `not in [...]`, `is null`, `is not null`, a bare name (a flag), parentheses.
Literals are decimals, "text" or 'text', true, false. A name is a column: letters, digits, `_`, `-`
and `.`; any other name in backticks. Nothing here is ever evaluated as code.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MAX_CHARACTERS = 10_000
MAX_DEPTH = 50


@dataclass(frozen=True)
class Name:
    """A column."""

    name: str


@dataclass(frozen=True)
class Literal:
    """A number (exact), text or truth value written in the recipe."""

    value: Fraction | str | bool


@dataclass(frozen=True)
class Compare:
    """`left operator right`; at least one side is a Name."""

    left: "Name | Literal"
    operator: str
    right: "Name | Literal"


@dataclass(frozen=True)
class In:
    """`name in [values]`."""

    name: Name
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class IsNull:
    """`name is null`."""

    name: Name


@dataclass(frozen=True)
class Flag:
    """A Boolean column by itself."""

    name: Name


@dataclass(frozen=True)
class Not:
    """`not item`."""

    item: "Tree"


@dataclass(frozen=True)
class And:
    """All of `items`."""

    items: "tuple[Tree, ...]"


@dataclass(frozen=True)
class Or:
    """Any of `items`."""

    items: "tuple[Tree, ...]"


Tree = Compare | In | IsNull | Flag | Not | And | Or


@dataclass(frozen=True)
class Clause:
    """One conjunct of a `where`: documents it drops are counted under `text`."""

    text: str
    tree: Tree


class WhereError(ValueError):
    """A `where` that cannot be read: what was expected, and at which character (from 1)."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(f"{reason}, at character {at + 1}")


def names(tree: Tree) -> Iterator[str]:
    """Every column a tree reads, with repetitions."""
    if isinstance(tree, And | Or):
        for item in tree.items:
            yield from names(item)
    elif isinstance(tree, Not):
        yield from names(tree.item)
    elif isinstance(tree, Compare):
        for side in (tree.left, tree.right):
            if isinstance(side, Name):
                yield side.name
    else:
        yield tree.name.name


def parse(text: str) -> tuple[Clause, ...]:
    """The clauses of a `where` in order; WhereError says what is wrong and where."""
    if len(text) > MAX_CHARACTERS:
        raise WhereError(f"longer than {MAX_CHARACTERS:,} characters", MAX_CHARACTERS)
    parser = _Parser(text)
    clauses = [parser.clause()]
    while parser.take("and"):
        clauses.append(parser.clause())
    if parser.now.text == "or":
        # The whole is one disjunction: it cannot be counted clause by clause.
        parser = _Parser(text)
        tree = parser.either()
        clauses = [Clause(text.strip(), tree)]
    parser.end()
    return tuple(clauses)


@dataclass(frozen=True)
class _Token:
    kind: str  # name, number, text, sign, end
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3})?(?![\w.-]))"
    r"|(?P<name>[A-Za-z_][\w-]*(?:\.[A-Za-z0-9_][\w-]*)*)|`(?P<quoted>[^`]+)`"
    r"|\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<sign><=|>=|==|!=|[<>()\[\],]))"
)
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_WORDS = ("and", "or", "not", "in", "is", "null", "true", "false")


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            hint = " (equality is written ==)" if text[start] == "=" else ""
            raise WhereError(f"cannot read {text[start : start + 12]!r}{hint}", start)
        kind = match.lastgroup or ""
        value = match.group(kind)
        start = match.start() + len(match.group()) - len(match.group().lstrip())
        if kind == "name" and value in _WORDS:
            kind = "sign"
        yield _Token(
            {"quoted": "name", "double": "text", "single": "text"}.get(kind, kind),
            value,
            start,
            match.end(),
        )
        at = match.end()
    yield _Token("end", "", len(text), len(text))


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.at = 0
        self.depth = 0

    @property
    def now(self) -> _Token:
        return self.tokens[self.at]

    def take(self, sign: str) -> bool:
        if self.now.kind == "sign" and self.now.text == sign:
            self.at += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            raise self.wrong(f"expected {sign!r}")

    def wrong(self, expected: str) -> WhereError:
        found = repr(self.now.text) if self.now.kind != "end" else "the end"
        return WhereError(f"{expected}, found {found}", self.now.start)

    def end(self) -> None:
        if self.now.kind != "end":
            raise self.wrong("expected 'and', 'or' or the end")

    def clause(self) -> Clause:
        start = self.now.start
        tree = self.negated()
        return Clause(self.text[start : self.tokens[self.at - 1].end], tree)

    def either(self) -> Tree:
        items = [self.both()]
        while self.take("or"):
            items.append(self.both())
        return items[0] if len(items) == 1 else Or(tuple(items))

    def both(self) -> Tree:
        items = [self.negated()]
        while self.take("and"):
            items.append(self.negated())
        return items[0] if len(items) == 1 else And(tuple(items))

    def negated(self) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise WhereError(f"more than {MAX_DEPTH} levels deep", self.now.start)
        try:
            if self.take("not"):
                return Not(self.negated())
            if self.take("("):
                tree = self.either()
                self.expect(")")
                return tree
            return self.comparison()
        finally:
            self.depth -= 1

    def comparison(self) -> Tree:
        start = self.now.start
        left = self.operand()
        if isinstance(left, Name):
            special = self.special(left)
            if special is not None:
                return special
        chain: list[Tree] = []
        while self.now.kind == "sign" and self.now.text in _COMPARISONS:
            operator = self.now.text
            self.at += 1
            right = self.operand()
            if not isinstance(left, Name) and not isinstance(right, Name):
                raise WhereError("a comparison needs a tag or column on one side", start)
            chain.append(Compare(left, operator, right))
            left = right
        if not chain:
            if isinstance(left, Name):
                return Flag(left)
            raise self.wrong("expected a comparison")
        return chain[0] if len(chain) == 1 else And(tuple(chain))

    def special(self, name: Name) -> Tree | None:
        if self.take("is"):
            negative = self.take("not")
            self.expect("null")
            return Not(IsNull(name)) if negative else IsNull(name)
        if self.take("in"):
            return In(name, self.values())
        if self.now.text == "not" and self.tokens[self.at + 1].text == "in":
            self.at += 2
            return Not(In(name, self.values()))
        return None

    def values(self) -> tuple[Literal, ...]:
        self.expect("[")
        found: list[Literal] = []
        while not self.take("]"):
            item = self.operand()
            if isinstance(item, Name):
                raise WhereError("a list holds values, not names", self.now.start)
            found.append(item)
            if not self.take(","):
                self.expect("]")
                break
        return tuple(found)

    def operand(self) -> Name | Literal:
        token = self.now
        if token.kind == "name":
            self.at += 1
            return Name(token.text)
        if token.kind == "number":
            self.at += 1
            return Literal(Fraction(token.text.replace("_", "")))
        if token.kind == "text":
            self.at += 1
            return Literal(token.text)
        if token.kind == "sign" and token.text in ("true", "false"):
            self.at += 1
            return Literal(token.text == "true")
        raise self.wrong("expected a name or a value")
