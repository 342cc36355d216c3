"""A recipe says exactly what it says, and a mistake is answered so that a person can act."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import recipe
from curate.errors import RecipeError, UsageError
from curate.recipe.arms import labels
from curate.recipe.model import Budget
from curate.recipe.read import amount

PAPER = """\
# C4 held constant, 4chan added.
name    = "c4-4chan"
version = "1.0.0"
seed    = 7

[tokenizer]
file = "hf://allenai/gpt-neox-olmo-dolma-v1_5/tokenizer.json"
eos  = "<|endoftext|>"

[source.c4]
reader  = "c4"
files   = ["hf://datasets/allenai/c4/en/c4-train.00[01]*.json.gz"]
license = "ODC-BY-1.0"

[source.pol]
reader   = "4chan"
files    = ["dumps/pol_0616-1119_labeled.tar.zst"]
document = "thread"
license  = "CC-BY-4.0"

[tagger.toxicity]
model = "builtin:toxicity"

[component.clean]
source = "c4"
where  = "toxicity < 0.5"
tokens = 20_099_137_536

[component.toxic]
source = "pol"
of     = "clean"
max_epochs = 1

[sweep]
toxic.share = [0, 0.05, 0.10, 0.15, 0.20, 0.25]

[holdout]
tokens = 5_000_000

[mix]
shard_tokens = 268_435_456
"""


def parse(text: str) -> recipe.Recipe:
    """The recipe in a text."""
    return recipe.parse(text, Path("r.toml"))


def test_the_papers_recipe() -> None:
    """The recipe of the design reads as it is meant."""
    found = parse(PAPER)

    assert ("c4-4chan", "1.0.0", 7) == (found.name, found.version, found.seed)
    assert ("c4", "ODC-BY-1.0", {}) == (
        found.sources["c4"].reader,
        found.sources["c4"].license,
        found.sources["c4"].options,
    )
    assert {"document": "thread"} == found.sources["pol"].options
    assert {"model": "builtin:toxicity"} == found.taggers["toxicity"].options
    assert Budget("tokens", Fraction(20_099_137_536)) == found.components["clean"].budget
    assert found.components["toxic"].budget is None
    assert recipe.Holdout(5_000_000, ("c4", "pol")) == found.holdout
    assert recipe.MixDecl(None, 268_435_456, "interleaved", "error") == found.mix
    assert [f"c4-4chan-{n:02d}pct" for n in (0, 5, 10, 15, 20, 25)] == [
        found.mix_name(arm) for arm in found.arms()
    ]
    assert [Fraction(n, 20) for n in range(6)] == [
        arm.components[1].budget.amount for arm in found.arms() if arm.components[1].budget
    ]
    assert {"toxic.share": "1/20"} == found.arms()[1].settings


def test_layout_of_the_text_is_no_part_of_the_declaration() -> None:
    """Comments and spaces change the text, not what is declared."""
    other = PAPER.replace("    =", " =").replace("# C4 held constant, 4chan added.\n", "")

    assert parse(PAPER).declaration == parse(other).declaration


SHARES = "toxic.share = [0, 0.05, 0.10, 0.15, 0.20, 0.25]"
NUMBER = 'must be a number such as 3, 0.05, "1/3" or "10 %"'
BROKEN = "expected a name or a value, found the end, at character 11"
MISTAKES = {
    "a misspelt key": (
        ("max_epochs = 1", "max_epoch = 1"),
        "r.toml:32: component.toxic.max_epoch is not a known key",
        "Did you mean max_epochs?",
    ),
    "a key that stands twice": (
        ('of     = "clean"', 'of     = "clean"\nof = "total"'),
        "r.toml:32: not TOML: Cannot overwrite a value (at line 32, column 13)",
        "A key may stand once in a table.",
    ),
    "a list outside the sweep": (
        ("tokens = 20_099_137_536", "tokens = [1_000, 2_000]"),
        "r.toml:27: component.clean.tokens is a list, and lists are sweeps only in [sweep]",
        "Move it: [sweep] clean.tokens = [...]",
    ),
    "a source that is not there": (
        ('source = "pol"', 'source = "poll"'),
        "r.toml:30: component.toxic.source names no source: 'poll'",
        'Did you mean "pol"?',
    ),
    "a share of nothing": (
        ('of     = "clean"', 'of     = "clear"'),
        "r.toml:31: component.toxic.of names no component with a budget: 'clear'",
        'Did you mean "clean"?',
    ),
    "two budgets": (
        ("tokens = 20_099_137_536", "tokens = 20_099_137_536\nepochs = 1"),
        "r.toml:28: component.clean.epochs is a second budget beside tokens",
        "A component has one; leave one out.",
    ),
    "no absolute budget": (
        ("tokens = 20_099_137_536", "share = 0.5"),
        "r.toml: the recipe has no component with an absolute budget",
        "Give one tokens = …, or fix the total: [mix] tokens = …",
    ),
    "half a token": (
        ("tokens = 20_099_137_536", "tokens = 0.5"),
        "r.toml:27: component.clean.tokens must be a whole number, not 1/2",
        "Write: tokens = 1_000",
    ),
    "a share in words": (
        ("0.05, 0.10", '"five percent", 0.10'),
        f"r.toml:35: sweep.toxic.share {NUMBER}, not 'five percent'",
        "",
    ),
    "a where that breaks off": (
        ('where  = "toxicity < 0.5"', 'where  = "toxicity <"'),
        f"r.toml:26: component.clean.where cannot be read: {BROKEN}",
        'For example: where = "toxicity < 0.5"',
    ),
    "no licence": (
        ('license  = "CC-BY-4.0"\n', ""),
        "r.toml:15: source.pol has no license",
        'Add: license = "ODC-BY-1.0" (or "unknown")',
    ),
    "a swept value twice": (
        ("[0, 0.05", '[0, 0.05, "5 %"'),
        "r.toml:35: sweep.toxic.share has '5 %' twice",
        "Every value makes an arm; leave one out.",
    ),
    "a component that nothing uses": (
        ("[sweep]", '[component.calm]\nsource = "pol"\n[sweep]'),
        "r.toml:34: component.calm has no budget and no control uses it",
        "Add one of: tokens, documents, bytes, epochs, share",
    ),
    "a budget here and in the sweep": (
        ("max_epochs = 1", "share = 0.5"),
        "r.toml:32: component.toxic.share is written here and in [sweep]",
        "Leave one out.",
    ),
    "a control like no arm": (
        ("[holdout]", '[control.more]\nlike = "10pc"\nreplace = { toxic = "clean" }\n[holdout]'),
        "r.toml:38: control.more.like names no arm: '10pc'",
        'Did you mean "10pct"?',
    ),
    "a total written as text": (
        ("shard_tokens = 268_435_456", 'shard_tokens = "many"'),
        f"r.toml:41: mix.shard_tokens {NUMBER}, not 'many'",
        "",
    ),
    "a shard larger than any reader takes": (
        ("shard_tokens = 268_435_456", "shard_tokens = 2_000_000_000"),
        "r.toml:41: mix.shard_tokens must be from 1 to 1,073,741,824, not 2,000,000,000",
        "",
    ),
    "a version of two numbers": (
        ('version = "1.0.0"', 'version = "1.0"'),
        "r.toml:3: version cannot be '1.0'",
        'Write three numbers: version = "1.0.0"',
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_answered(case: str) -> None:
    """Each names file, line, key, reason and, where there is one, the way out."""
    (old, new), message, hint = MISTAKES[case]
    assert old in PAPER
    with pytest.raises(RecipeError) as caught:
        parse(PAPER.replace(old, new))

    assert (message, hint, 2) == (caught.value.message, caught.value.hint, caught.value.exit_code)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {'of     = "clean"': 'share = "rest"', SHARES: "seed = [1]"},
            'cannot be "rest" without a total',
        ),
        ({'of     = "clean"': 'of = "toxic"'}, "goes in a ring: toxic of toxic"),
        ({"[component.clean]": "[component.Clean]"}, "component.Clean is not a name"),
        ({"tokens = 20_099_137_536": "tokens = 1e999999999"}, "not a decimal of at most 40 digits"),
        ({"seed    = 7": "seed = 9007199254740992"}, "must be from 0 to 9,007,199,254,740,991"),
        ({"tokens = 20_099_137_536": "tokens = inf"}, "not a decimal of at most 40 digits"),
        ({"tokens = 20_099_137_536": "tokens = -5"}, "must not be negative"),
        ({"max_epochs = 1": "max_epochs = 0"}, "must be more than 0"),
        ({"max_epochs = 1": 'phases = [["80 %", 1]]'}, "cover 4/5 of the stream"),
        ({"max_epochs = 1": "phases = [[1, 0]]"}, "leave the component no place"),
        ({"max_epochs = 1": "phases = 3"}, "must be pairs of a stretch and a relative density"),
        ({"[holdout]\ntokens = 5_000_000": '[holdout]\ntokens = 5\nsources = ["c5"]'}, "no source"),
        ({"toxic.share": "toxik.share"}, "sweep.toxik names no component"),
        ({"toxic.share": "toxic.source"}, "sweep.toxic.source is not a known key"),
        ({"[mix]": '[mix]\nlayout = "by-sauce"'}, "cannot be 'by-sauce'"),
        ({'name    = "c4-4chan"': 'name = "C4 4chan"'}, "is not a name"),
        ({"files    = [": "files = "}, "not TOML"),
        ({'files    = ["dumps/pol_0616-1119_labeled.tar.zst"]': 'files = "a"'}, "must be a list"),
        ({'eos  = "<|endoftext|>"\n': ""}, "tokenizer has no eos"),
        (
            {
                "max_epochs = 1": 'phases = [["80 %", 1], ["20 %", 0]]',
                "[mix]": '[mix]\nlayout = "by-source"',
            },
            "cannot be kept in layout",
        ),
    ],
)
def test_other_mistakes(changes: dict[str, str], message: str) -> None:
    """What cannot be meant is refused by name."""
    text = PAPER
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(RecipeError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (3, "3"),
        (Fraction(1, 20), "1/20"),
        ("1/3", "1/3"),
        ("10 %", "1/10"),
        ("2.5%", "1/40"),
        ("0.125", "1/8"),
    ],
)
def test_amounts_are_exact(text: object, expected: str) -> None:
    """Whole numbers, decimals, fractions and percentages."""
    assert Fraction(expected) == amount(text)


@pytest.mark.parametrize("text", ["", "1/0", "-1", "1e3", "three", True, None, [1], "5 % of"])
def test_other_amounts_are_refused(text: object) -> None:
    """Anything else is no amount."""
    with pytest.raises(ValueError, match=r"must|divides"):
        amount(text)


@given(st.lists(st.fractions(0, 2, max_denominator=400), min_size=1, unique=True))
def test_arms_have_names_of_their_own(values: list[Fraction]) -> None:
    """No two values of a line have one name, and names are names."""
    found = labels("share", values)

    assert len(values) == len(set(found))
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in found)


def test_lines_of_a_sweep_multiply() -> None:
    """Two lines of two values and two seeds make eight arms, named by what varies."""
    text = PAPER.replace(
        "toxic.share = [0, 0.05, 0.10, 0.15, 0.20, 0.25]",
        'toxic.share = [0.05, "1/3"]\n'
        'clean.where = ["toxicity < 0.5", "toxicity < 0.1"]\nseed = [1, 2]',
    ).replace('where  = "toxicity < 0.5"\n', "")
    arms = parse(text).arms()

    assert 8 == len(arms)
    assert "toxic-05pct-clean-where1-seed1" == arms[0].name
    assert "toxic-1of3-clean-where2-seed2" == arms[-1].name
    assert (2, "toxicity < 0.1") == (arms[-1].seed, arms[-1].components[0].where[0].text)


def test_a_control_of_replicates_is_replicated() -> None:
    """`like = "10pct"` in a sweep with seeds makes one control per seed."""
    text = PAPER.replace("0.25]", "0.25]\nseed = [1, 2]")
    text += '[control.more]\nlike = "10pct"\nreplace = { toxic = "clean" }\n'
    controls = [arm for arm in parse(text).arms() if arm.replace]

    assert [("more-seed1", "10pct-seed1"), ("more-seed2", "10pct-seed2")] == [
        (arm.name, arm.like) for arm in controls
    ]


def test_a_recipe_without_sweep_makes_one_mix_of_its_name() -> None:
    """No sweep: one arm, without a name."""
    text = PAPER.replace("toxic.share = [0, 0.05, 0.10, 0.15, 0.20, 0.25]", "").replace(
        "max_epochs = 1", "share = 0.1"
    )

    assert ["c4-4chan"] == [parse(text).mix_name(arm) for arm in parse(text).arms()]


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """The error names the file and the command that writes one."""
    with pytest.raises(UsageError, match="no such file or directory") as caught:
        recipe.load(tmp_path / "none.toml")

    assert f"curate init {tmp_path}/none.toml writes a commented one." == caught.value.hint


@pytest.mark.parametrize("data", [b"\xff", b"a" * (1 << 20) + b"a"])
def test_what_is_no_recipe_is_refused(tmp_path: Path, data: bytes) -> None:
    """Bytes that are not UTF-8, or far too many, are refused before they are parsed."""
    (tmp_path / "r.toml").write_bytes(data)
    with pytest.raises(RecipeError):
        recipe.load(tmp_path / "r.toml")
