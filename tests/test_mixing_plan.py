"""What a recipe can say, planned over documents a person can hold in the head."""

from fractions import Fraction
from pathlib import Path

import pytest

from tests import mixing_oracle as oracle
from tests.mixing_world import HEAD, SWEEP, Doc, Planned, Sources, plan, read

WEB = [Doc(f"web:{n}", 10, 0.0) for n in range(40)]
POL = [Doc(f"pol:{n}", 10, n / 20) for n in range(20)]
WORLD: Sources = {"web": [WEB], "pol": [POL]}
BOTH = HEAD + '[component.clean]\nsource = "web"\ntokens = 100\n'
TOXIC = '[component.toxic]\nsource = "pol"\n'


def ids(made: Planned, component: str, arm: str = "") -> list[str]:
    """Ids of a component's spans in order."""
    return [span.id for span in made.of(arm, component)]


def in_rank(rows: list[Doc], seed: int = 7, epoch: int = 0) -> list[str]:
    """Ids in the order in which they are taken."""
    return [row.id for e, row in oracle.stream(rows, seed, epoch + 1) if e == epoch]


def test_a_control_takes_the_tokens_of_what_it_replaces(tmp_path: Path) -> None:
    """`replace = { toxic = "calm" }` gives calm exactly the tokens that toxic has."""
    calm = '[component.calm]\nsource = "pol"\nwhere = "toxicity < 0.5"\n'
    control = '[control.mild]\nlike = "10pct"\nreplace = { toxic = "calm" }\n'
    made = plan(tmp_path, SWEEP.replace("1_000", "370") + calm + control, WORLD)

    assert 37 == made.component("10pct", "toxic")["n_tokens"]
    assert 37 == made.component("mild", "calm")["n_tokens"]
    assert "toxic" == made.component("mild", "calm")["stands_for"]
    assert {"like": "10pct", "replace.toxic": "calm"} == made.arm("mild")["settings"]
    assert in_rank(POL[:10])[:4] == ids(made, "calm", "mild")
    assert ids(made, "clean", "10pct") == ids(made, "clean", "mild")


def test_extra_clean_goes_on_where_clean_ends(tmp_path: Path) -> None:
    """The stand-in begins after the document at which clean was cut."""
    control = '[control.more]\nlike = "25pct"\nreplace = { toxic = "clean" }\n'
    made = plan(tmp_path, SWEEP.replace("1_000", "105") + control, WORLD)
    order = in_rank(WEB)

    assert order[:11] == ids(made, "clean", "more")
    assert order[11:14] == ids(made, "clean-for-toxic", "more")
    assert 26 == made.component("more", "clean-for-toxic")["n_tokens"]


def test_extra_clean_may_go_on_in_the_next_epoch(tmp_path: Path) -> None:
    """With two epochs allowed the stand-in wraps around; every document is counted once."""
    control = '[control.more]\nlike = "half"\nreplace = { toxic = "clean" }\n'
    text = SWEEP.replace("1_000", "305").replace('where = "toxicity < 0.5"', "max_epochs = 2")
    text = text.replace('[0, 0.05, "10 %", "1/4"]', '["1/2"]') + control.replace("half", "50pct")
    made = plan(tmp_path, text, WORLD)
    extra = made.of("more", "clean-for-toxic")
    first, second = in_rank(WEB), in_rank(WEB, epoch=1)

    # 305 tokens cut the 31st document; 152 (half of 305, to even) are 9 documents and 62 tokens.
    assert first[31:] + second[:7] == [span.id for span in extra]
    assert [0] * 9 + [1] * 7 == [span.epoch for span in extra]
    assert (
        len(set(first[31:] + second[:7]))
        == made.component("more", "clean-for-toxic")["n_documents"]
    )
    assert {"dropped": [], "n_unused": 0, "n_used": 40} == made.arm("more")["sources"]["web"]


def test_bands_of_one_source(tmp_path: Path) -> None:
    """Several components share a source by score."""
    text = BOTH
    for name, band in (("low", "toxicity < 0.3"), ("high", "toxicity >= 0.6")):
        text += f'[component.{name}]\nsource = "pol"\nwhere = "{band}"\nepochs = 1\n'
    made = plan(tmp_path, text, WORLD)

    assert {f"pol:{n}" for n in range(6)} == set(ids(made, "low"))
    assert {f"pol:{n}" for n in range(12, 20)} == set(ids(made, "high"))
    assert {
        "dropped": [{"clause": "toxicity < 0.3", "n_documents": 6}],
        "n_unused": 0,
        "n_used": 14,
    } == made.arm("")["sources"]["pol"]


def test_with_overlap_first_a_document_belongs_to_the_first_component(tmp_path: Path) -> None:
    """Where two components could take a document, the first in the recipe has it."""
    text = BOTH + TOXIC + 'where = "toxicity >= 0.5"\nepochs = 1\n'
    text += '[component.any]\nsource = "pol"\nepochs = 1\n[mix]\noverlap = "first"\n'
    made = plan(tmp_path, text, WORLD)

    assert {f"pol:{n}" for n in range(10, 20)} == set(ids(made, "toxic"))
    assert {f"pol:{n}" for n in range(10)} == set(ids(made, "any"))
    assert [{"clause": "[belongs to an earlier component]", "n_documents": 10}] == made.component(
        "", "any"
    )["dropped"]


def test_with_overlap_first_a_document_of_two_sources_is_taken_once(tmp_path: Path) -> None:
    """The same document in two sources goes to the first component that may take it."""
    again = [Doc("web:0", 10, 0.0), Doc("web:1", 10, 0.9), *POL]
    text = BOTH.replace("tokens = 100", "epochs = 1") + TOXIC + 'where = "toxicity < 0.95"\n'
    text += 'epochs = 1\n[mix]\noverlap = "first"\n'
    made = plan(tmp_path, text, {"web": [WEB], "pol": [again]})

    assert {row.id for row in WEB} == set(ids(made, "clean"))
    assert {row.id for row in POL if (row.toxicity or 0) < 0.95} == set(ids(made, "toxic"))
    assert [
        {"clause": "toxicity < 0.95", "n_documents": 1},
        {"clause": "[belongs to another source]", "n_documents": 2},
    ] == made.arm("")["sources"]["pol"]["dropped"]


def test_later_epochs_are_other_orders_of_the_same_documents(tmp_path: Path) -> None:
    """Two and a half epochs: every document twice, half of them a third time."""
    text = BOTH + TOXIC + "epochs = 2.5\n"
    made = plan(tmp_path, text, WORLD)
    toxic = made.component("", "toxic")

    assert in_rank(POL) + in_rank(POL, epoch=1) + in_rank(POL, epoch=2)[:10] == ids(made, "toxic")
    assert [0] * 20 + [1] * 20 + [2] * 10 == [span.epoch for span in made.of("", "toxic")]
    assert ("5/2", 500, 50, 20, 0) == tuple(
        toxic[name] for name in ("epochs", "n_tokens", "n_spans", "n_documents", "n_unused")
    )


@pytest.mark.parametrize(
    ("budget", "unit", "requested", "delivered", "residual"),
    [("documents = 7", "documents", 7, 70, 0), ("bytes = 95", "bytes", 95, 30, 25)],
)
def test_budgets_of_documents_and_bytes_take_whole_documents(
    tmp_path: Path, budget: str, unit: str, requested: int, delivered: int, residual: int
) -> None:
    """Whole documents until the budget is first reached; ten tokens are forty bytes here."""
    made = plan(tmp_path, BOTH + TOXIC + budget + "\n", WORLD)
    toxic = made.component("", "toxic")

    assert (unit, requested, delivered, residual) == tuple(
        toxic[name] for name in ("unit", "requested", "n_tokens", "residual")
    )
    assert [] == toxic["cut"]


def test_a_share_of_documents_counted_in_tokens(tmp_path: Path) -> None:
    """A share may be of a component that counts documents: of the tokens those come to."""
    text = BOTH.replace("tokens = 100", "documents = 11") + TOXIC + 'share = 0.1\nof = "clean"\n'
    web = [Doc(f"web:{n}", 10 * 2**n) for n in range(12)]  # no two sums are equal
    made = plan(tmp_path, text, {"web": [web], "pol": [[Doc("pol:0", 10_000)]]})
    taken = sum(10 * 2 ** int(name.removeprefix("web:")) for name in in_rank(web)[:11])

    assert (taken, taken // 10) == tuple(
        made.component("", name)["n_tokens"] for name in ("clean", "toxic")
    )


def test_total_constant(tmp_path: Path) -> None:
    """With a fixed total, what is added takes the place of clean."""
    text = HEAD + '[component.clean]\nsource = "web"\nshare = "rest"\n' + TOXIC
    text += "[mix]\ntokens = 200\n[sweep]\ntoxic.share = [0, 0.05, 0.1]\n"
    made = plan(tmp_path, text, WORLD)

    assert [(200, 0), (190, 10), (180, 20)] == [
        tuple(c["n_tokens"] for c in arm["components"]) for arm in made.facts["arms"]
    ]


def test_replicates_differ_in_seed_only(tmp_path: Path) -> None:
    """`sweep.seed` orders the same documents another way; the hold-out stays."""
    text = SWEEP.replace("1_000", "100") + "seed = [1, 2]\n[holdout]\ntokens = 20\n"
    made = plan(tmp_path, text, WORLD)
    held = {span.id for span in made.held_out}
    free = [row for row in WEB if row.id not in held]

    assert ["00pct-seed1", "00pct-seed2"] == [arm["name"] for arm in made.facts["arms"]][:2]
    assert in_rank(free, 1)[:10] == ids(made, "clean", "10pct-seed1")
    assert in_rank(free, 2)[:10] == ids(made, "clean", "10pct-seed2")
    assert [1, 2] == [made.arm(f"00pct-seed{n}")["seed"] for n in (1, 2)]


def test_by_source_writes_components_alone_with_borders_where_arms_end(tmp_path: Path) -> None:
    """Whole documents, one component after the other; arms share the shards they begin with."""
    text = SWEEP.replace("1_000", "105") + '[mix]\nlayout = "by-source"\nshard_tokens = 50\n'
    made = plan(tmp_path, text, WORLD)
    toxic = {
        arm: [(span.id, span.shard) for span in made.of(arm, "toxic")]
        for arm in ("05pct", "10pct", "25pct")
    }

    # 105 tokens are first reached with eleven documents; 5, 10 and 26 with one, one and three.
    assert 110 == made.component("05pct", "clean")["n_tokens"]
    assert 5 == made.component("05pct", "clean")["residual"]
    assert [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2] == [s.shard for s in made.of("25pct", "clean")]
    assert toxic["05pct"] == toxic["10pct"] == toxic["25pct"][:1]
    assert [3, 4, 4] == [shard for _, shard in toxic["25pct"]]
    assert not any(span.cut for span in made.spans["25pct"])


def test_phases_put_a_component_where_they_say(tmp_path: Path) -> None:
    """Density 1 in the first half and 0 in the second: all of toxic comes first, and evenly."""
    text = BOTH + TOXIC + 'tokens = 40\nphases = [["50 %", 1], ["50 %", 0]]\n'
    made = plan(tmp_path, text, WORLD)

    # 140 tokens: the first 70 hold 40 toxic ones, due at 0, 17, 35 and 52. Clean fills what is
    # left: 30 in the first half, due at 0, 23 and 46; then one every ten from 70.
    assert [*"cttctctccccccc"] == [s.component[0] for s in made.spans[""]]
    assert [["1/2", "1/1"], ["1/2", "0/1"]] == made.component("", "toxic")["phases"]
    worst = made.arm("")["largest_deviation"]
    assert Fraction(worst["value"]) <= Fraction(worst["bound"])


def test_phases_that_wait_begin_late(tmp_path: Path) -> None:
    """Density 0 at the start: nothing of toxic before the stretch that has it."""
    text = BOTH + TOXIC + 'tokens = 20\nphases = [["75 %", 0], ["25 %", 1]]\n'
    made = plan(tmp_path, text, WORLD)

    # 120 tokens: toxic is due at 90 and 105; clean at 0, 10, … 80, and the last ten at 90.
    assert [*"ccccccccc", "c", "t", "t"] == [s.component[0] for s in made.spans[""]]


def test_pieces_of_a_document_live_or_die_together(tmp_path: Path) -> None:
    """A newer version supersedes all pieces of an older one; pieces rank by their own keys."""
    old = [Doc("web:a", 10, 0.0, n_posts=1, piece=n, text=f"old {n}") for n in (1, 2, 3)]
    new = [Doc("web:a", 11, 0.0, n_posts=2, piece=n) for n in (1, 2)]
    text = HEAD.split("[source.pol]")[0] + '[component.clean]\nsource = "web"\nepochs = 1\n'
    text = text.replace("[tokenizer]\n", "[tokenizer]\nmax_document_tokens = 12\n")
    made = plan(tmp_path, text, {"web": [[*old, Doc("web:b")], new]})

    rows = [*new, Doc("web:b")]
    assert [row.row_id for _, row in oracle.stream(rows, 7, 1)] == ids(made, "clean")
    assert {"n_read": 6, "n_superseded": 3, "n_held_out": 0, "n_empty": 0} == made.facts["sources"][
        "web"
    ]


def test_one_token_documents_are_empty(tmp_path: Path) -> None:
    """EOS alone (with BOS: BOS and EOS) is no document."""
    rows = [Doc("web:0", 1), Doc("web:1", 2), Doc("web:2", 3)]
    text = HEAD.split("[source.pol]")[0] + '[component.clean]\nsource = "web"\nepochs = 1\n'
    without = plan(tmp_path / "a", text, {"web": [rows]})
    with_bos = plan(tmp_path / "b", text, {"web": [rows]}, bos=True)

    assert {"web:1", "web:2"} == set(ids(without, "clean"))
    assert {"web:2"} == set(ids(with_bos, "clean"))
    assert 2 == with_bos.facts["sources"]["web"]["n_empty"]


def test_a_group_held_out_of_one_source_is_held_out_of_all(tmp_path: Path) -> None:
    """The same URL in two sources is not mixed from one while the other holds it out."""
    web = [Doc(f"web:{n}", 10, 0.0, f"url{n}") for n in range(10)]
    pol = [Doc(f"pol:{n}", 10, 0.0, f"url{n}") for n in range(10)]
    text = BOTH.replace("tokens = 100", "documents = 5") + TOXIC + "documents = 5\n"
    text += '[holdout]\ntokens = 20\nsources = ["web"]\n'
    made = plan(tmp_path, text, {"web": [web], "pol": [pol]})
    held = [span.id for span in made.held_out]

    assert 4 == len(held)
    assert {i.split(":")[1] for i in held if i[:3] == "web"} == {
        i.split(":")[1] for i in held if i[:3] == "pol"
    }
    assert not set(held) & {span.id for span in made.spans[""]}
    assert ["pol", "web"] == [c["name"] for c in made.facts["holdout"]["components"]]


def test_null_scores_are_counted_under_their_clause(tmp_path: Path) -> None:
    """A document without a score is dropped by the clause that asks for one, and said so."""
    web = [Doc("web:0", 10, None), Doc("web:1", 10, 0.9), Doc("web:2", 10, 0.1)]
    text = BOTH.replace("tokens = 100", 'epochs = 1\nwhere = "n_posts == 1 and toxicity < 0.5"')
    made = plan(tmp_path, text + TOXIC + "tokens = 10\n", {"web": [web], "pol": [POL]})

    assert [
        {"clause": "n_posts == 1", "n_documents": 0},
        {"clause": "toxicity < 0.5", "n_documents": 1},
        {"clause": "toxicity < 0.5 [null]", "n_documents": 1},
    ] == made.component("", "clean")["dropped"]


def test_an_arm_of_nothing(tmp_path: Path) -> None:
    """Zero is an ordinary amount: an arm without any token is a plan too."""
    made = plan(tmp_path, BOTH.replace("100", "0") + TOXIC + "tokens = 0\n", WORLD)

    assert [] == made.spans[""]
    assert (0, 0, 0) == tuple(made.arm("")[n] for n in ("n_tokens", "n_spans", "n_shards"))


def test_no_source_is_read_as_empty(tmp_path: Path) -> None:
    """A source without parts or rows has nothing to give, and nothing breaks."""
    text = BOTH + TOXIC + "tokens = 0\n"
    made = plan(tmp_path, text, {"web": [WEB], "pol": [[], []]})

    assert 0 == made.facts["sources"]["pol"]["n_read"]


def test_read_is_what_was_planned(tmp_path: Path) -> None:
    """The test's own reader gives back every row of the world it was given."""
    made = plan(tmp_path, BOTH + TOXIC + "epochs = 1\n", WORLD)

    assert {row.id for row in POL} == set(ids(read(made.folder, made.facts, WORLD), "toxic"))
