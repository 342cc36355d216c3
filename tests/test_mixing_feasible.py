"""What cannot be had is explained with numbers, and every way out that is offered is taken."""

import re
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import mixing, recipe
from curate.errors import InfeasibleError
from curate.recipe import where as recipe_where
from tests.mixing_world import HEAD, SWEEP, Doc, Sources, plan, write_parts

WORLD: Sources = {
    "web": [[Doc(f"web:{n}", 10, 0.0) for n in range(40)]],
    "pol": [[Doc(f"pol:{n}", 10, n / 20) for n in range(20)]],
}
CLEAN = HEAD + '[component.clean]\nsource = "web"\n'
TOXIC = '[component.toxic]\nsource = "pol"\n'
CALM = '[component.calm]\nsource = "pol"\nwhere = "toxicity < 0.2"\n'


def ways_out(error: InfeasibleError) -> list[tuple[str, str, str]]:
    """(key, value, table) of every line the error offers."""
    return re.findall(r"([\w.]+) = (.+?) in \[([\w.-]+)\]", error.hint)


def changed(text: str, key: str, value: str, table: str) -> str:
    """The recipe with one line written or replaced, as a person would in an editor."""
    lines = text.splitlines()
    header = f"[{table}]"
    if header not in lines:
        return f"{text}\n{header}\n{key} = {value}\n"
    start = lines.index(header)
    end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("[")), len(lines))
    for number in range(start + 1, end):
        if lines[number].split("=")[0].strip() == key:
            return "\n".join([*lines[:number], f"{key} = {value}", *lines[number + 1 :]])
    return "\n".join([*lines[: start + 1], f"{key} = {value}", *lines[start + 1 :]])


CASES = {
    "a sweep beyond the pool": (
        SWEEP.replace("1_000", "400").replace('"1/4"', '"3/4"'),
        "pol is too small for 75 % of clean",
        "eligible 200 tokens, needed 300 (1.50 epochs)",
        {"max_epochs", "tokens", "toxic.share"},
    ),
    "an absolute budget beyond the pool": (
        CLEAN + "tokens = 500\n" + TOXIC + 'share = 0.1\nof = "clean"\n',
        "web is too small for 500 tokens",
        "eligible 400 tokens, needed 500 (1.25 epochs)",
        {"max_epochs", "tokens"},
    ),
    "a budget of documents beyond the pool": (
        CLEAN + "documents = 41\n" + TOXIC + "tokens = 10\n",
        "web is too small for 41 documents",
        "eligible 40 documents, needed 41 (1.02 epochs)",
        {"max_epochs", "documents"},
    ),
    "a fixed total beyond the pool": (
        CLEAN + 'share = "rest"\n' + TOXIC + "share = 0.1\n[mix]\ntokens = 500\n",
        "web is too small for 450 tokens",
        "eligible 400 tokens, needed 450 (1.12 epochs)",
        {"max_epochs", "tokens"},
    ),
    "a control beyond its pool": (
        SWEEP.replace("1_000", "400")
        + CALM
        + '[control.mild]\nlike = "25pct"\nreplace = { toxic = "calm" }\n',
        "pol is too small for calm, in place of toxic",
        "eligible 40 tokens, needed 100 (2.50 epochs)",
        {"max_epochs", "tokens"},
    ),
    "two pools too small": (
        CLEAN + "tokens = 800\n" + TOXIC + 'share = "1/2"\nof = "clean"\n',
        "web is too small for 800 tokens",
        "toxic: eligible 200 tokens, needed 400 (2.00 epochs)",
        {"tokens"},
    ),
    "extra clean that a cut leaves short": (
        SWEEP.replace("1_000", "304").replace("[0, 0.05", "[0")
        + '[control.more]\nlike = "25pct"\nreplace = { toxic = "clean" }\n[holdout]\ntokens = 15\n',
        "web is too small for clean-for-toxic after what is cut off before it",
        "needed 76 tokens",
        {"max_epochs"},
    ),
    "a rest below nothing": (
        CLEAN + 'share = "rest"\n' + TOXIC + "tokens = 150\n[mix]\ntokens = 100\n",
        "the components ask for 150 tokens, the mix is to have 100",
        "50 tokens too many: nothing remains for the rest",
        {"tokens"},
    ),
    "shares that do not make a whole": (
        CLEAN + 'share = "1/2"\n' + TOXIC + 'share = "1/4"\n[mix]\ntokens = 100\n',
        "the components add up to 75 tokens, the mix is to have 100",
        "shares 75 % of the total, 75 tokens",
        {"share"},
    ),
    "shares that leave nothing for the rest": (
        CLEAN + "tokens = 100\n" + TOXIC + "share = 1\n",
        "shares of the total add up to 100 %, absolute budgets come on top",
        "They must leave room for the absolute ones: less than 100 %.",
        {"of"},
    ),
    "components that share documents": (
        CLEAN + "tokens = 100\n" + TOXIC + 'where = "toxicity >= 0.5"\ntokens = 50\n'
        '[component.any]\nsource = "pol"\ntokens = 50\n',
        "10 documents belong to both toxic and any",
        "in one arm a document belongs to one component",
        {"overlap"},
    ),
    "phases that ask for more than there is room for": (
        CLEAN + "tokens = 100\n" + TOXIC + 'tokens = 100\nphases = [["10 %", 1], ["90 %", 0]]\n',
        "phases ask for more than there is room for from 0 % to 10 % of the stream",
        "asked 100 tokens, room 20",
        {"phases"},
    ),
    "phases of every component that leave a gap": (
        CLEAN
        + 'tokens = 100\nphases = [["50 %", 1], ["50 %", 0]]\n'
        + TOXIC
        + 'tokens = 90\nphases = [["50 %", 0], ["50 %", 1]]\n',
        "phases ask for more than there is room for from 0 % to 50 % of the stream",
        "asked 100 tokens, room 95",
        {"phases"},
    ),
    "a document longer than a shard": (
        CLEAN + "tokens = 100\n" + TOXIC + "tokens = 50\n[mix]\nshard_tokens = 9\n",
        "a document of 10 tokens does not fit in a shard",
        "shard_tokens is 9",
        {"shard_tokens"},
    ),
    "a hold-out beyond the pool": (
        CLEAN + "tokens = 100\n" + TOXIC + "tokens = 50\n[holdout]\ntokens = 300\n",
        "pol is too small for the hold-out",
        "200 tokens in whole, 300 to hold out",
        {"tokens"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_way_out_is_a_line_that_makes_it_plan(case: str, tmp_path: Path) -> None:
    """Exit 5 says what binds and by how much; each line that it offers is tried, and plans."""
    text, message, detail, keys = CASES[case]
    with pytest.raises(InfeasibleError) as caught:
        plan(tmp_path / "first", text, WORLD)
    error = caught.value

    assert message == error.message
    assert detail in error.details
    assert keys <= {key for key, _, _ in ways_out(error)}
    assert 5 == error.exit_code
    for number, (key, value, table) in enumerate(ways_out(error)):
        plan(tmp_path / str(number), changed(text, key, value, table), WORLD)


def test_what_no_line_mends_offers_none(tmp_path: Path) -> None:
    """Where nothing is eligible there is no number to offer."""
    text = CLEAN + 'where = "toxicity > 2"\ntokens = 10\n' + TOXIC + "tokens = 10\n"
    with pytest.raises(InfeasibleError) as caught:
        plan(tmp_path, text, WORLD)

    assert ["eligible 0 tokens, needed 10"] == caught.value.details
    assert "" == caught.value.hint


def test_thresholds_that_a_rule_gave_stay_while_ways_out_are_tried(tmp_path: Path) -> None:
    """A recipe whose `where` was resolved elsewhere is changed by a line, not read anew."""
    text = CLEAN + "tokens = 100\n" + TOXIC + "where = 'toxicity >= \"top 5 %\"'\ntokens = 210\n"
    told = recipe.parse(text, Path("t.toml"))
    known = replace(told.components["toxic"], where=recipe_where.parse("toxicity >= 0.5"))
    (arm,) = told.arms()
    told = replace(told, all_arms=(replace(arm, components=(arm.components[0], known)),))
    parts = write_parts(tmp_path, WORLD)
    with pytest.raises(InfeasibleError) as caught:
        mixing.make_plan(told, parts, out=tmp_path / "plan", bos=False)

    assert "Set max_epochs = 3 in [component.toxic], or tokens = 100 in [component.toxic]." == (
        caught.value.hint
    )


def test_stated_pools_explain_as_counted_ones_do() -> None:
    """`--assume` gives the error of the design to the word, and its ways out plan."""
    text = SWEEP.replace("1_000", "20_099_137_536").replace("0.05", "0.05, 0.15, 0.2")
    pools = {"web": 30_000_000_000, "pol": 4_211_004_928}
    with pytest.raises(InfeasibleError) as caught:
        mixing.assume_plan(recipe.parse(text, Path("t.toml")), pools)

    assert (
        "error: pol is too small for 25 % of clean\n"
        "  eligible 4,211,004,928 tokens, needed 5,024,784,384 (1.19 epochs)\n"
        "  Set max_epochs = 2 in [component.toxic], or tokens = 16_844_019_712 in "
        '[component.clean], or toxic.share = [0, 0.05, 0.15, 0.2, "10 %"] in [sweep].'
    ) == caught.value.render()
    for key, value, table in ways_out(caught.value):
        mixing.assume_plan(recipe.parse(changed(text, key, value, table), Path("t.toml")), pools)


@given(
    st.integers(1, 10**6),
    st.lists(st.fractions(0, 2, max_denominator=40), min_size=1, max_size=4, unique=True),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from(["clean", "total"]),
    st.booleans(),
)
def test_any_impossible_sweep_offers_only_what_works(
    tokens: int, shares: list[Fraction], web: int, pol: int, of: str, control: bool
) -> None:
    """Whatever is asked of whatever pools, every line that is offered makes it plan."""
    values = ", ".join(f'"{share}"' for share in shares)
    text = SWEEP.replace("1_000", str(tokens)).replace('of = "clean"', f'of = "{of}"')
    text = text.replace('[0, 0.05, "10 %", "1/4"]', f"[{values}]")
    if control:
        last = recipe.parse(text, Path("t.toml")).arms()[-1].name
        text += f'[control.more]\nlike = "{last}"\nreplace = {{ toxic = "clean" }}\n'
    pools = {"web": web, "pol": pol}
    try:
        mixing.assume_plan(recipe.parse(text, Path("t.toml")), pools)
    except InfeasibleError as error:
        for key, value, table in ways_out(error):
            mixing.assume_plan(
                recipe.parse(changed(text, key, value, table), Path("t.toml")), pools
            )


def test_a_failed_plan_leaves_nothing_behind() -> None:
    """After an impossible recipe the folder holds no plan and no scratch files."""
    with tempfile.TemporaryDirectory() as name:
        with pytest.raises(InfeasibleError):
            plan(Path(name), CASES["a sweep beyond the pool"][0], WORLD)

        assert ["parts"] == [path.name for path in Path(name).iterdir()]
