"""Whatever is not in a mix is in its list of what was dropped, with the reason, once."""

from collections import Counter
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from curate import mixing, recipe
from curate.errors import InfeasibleError
from tests.mixing_world import HEAD, SWEEP, Doc, Sources, key, write_parts
from tests.test_mixing_laws import FAST, folder, worlds

FIRST = """
[component.calm]
source = "pol"
where = "toxicity < 0.5"
tokens = 20
[component.any]
source = "pol"
tokens = 30
[component.old]
source = "web"
tokens = 10
[mix]
overlap = "first"
"""


def lists(place: Path, text: str, sources: Sources) -> dict[str, pl.DataFrame]:
    """Stem → what is not in, for every arm of a plan; checked against the numbers of the plan."""
    told = recipe.parse(text, Path("test.toml"))
    parts = write_parts(place / "parts", sources)
    plan = mixing.make_plan(told, parts, out=place / "plan", bos=False)
    made = {}
    arms = {(arm["name"] or "mix"): arm for arm in plan["arms"]}
    arms |= {"holdout": plan["holdout"]} if "holdout" in plan else {}
    for stem, arm in arms.items():
        table = mixing.dropped(
            told, parts, plan=place / "plan", stem=stem, bos=False, work=place / "work"
        )
        assert table.select("key", "component").rows() == sorted(
            table.select("key", "component").rows()
        )
        for component in arm["components"]:
            mine = table.filter(pl.col("component") == component["name"])["clause"]
            source = plan["sources"][component["source"]]
            counted = {d["clause"]: d["n_documents"] for d in component["dropped"]} | {
                "[superseded]": source["n_superseded"],
                "[empty]": source["n_empty"],
                "[held out]": source["n_held_out"] if stem != "holdout" else 0,
                "[unused]": component["n_unused"],
            }
            assert {c: n for c, n in counted.items() if n} == dict(Counter(mine))
        assert set(table["component"]) <= {c["name"] for c in arm["components"]}
        made[stem] = table
    assert not (place / "work").exists()
    return made


def test_each_reason_by_hand(tmp_path: Path) -> None:
    """One document for every reason, and one that is used."""
    web = [
        Doc("web:used", 10, 0.1),
        Doc("web:rude", 10, 0.9),
        Doc("web:unscored", 10, None),
        Doc("web:empty", 1, 0.1),
        Doc("web:twice", 9, 0.9, timestamp=1),
        Doc("web:twice", 10, 0.9, timestamp=2),
    ]
    text = HEAD + '[component.clean]\nsource = "web"\nwhere = "toxicity < 0.5"\ntokens = 10\n'
    text += '[component.toxic]\nsource = "pol"\ntokens = 10\n'
    pol = [Doc("pol:a", 10), Doc("pol:b", 10)]
    table = lists(tmp_path, text, {"web": [web], "pol": [pol]})["mix"]
    found = {(k, component): clause for k, component, clause in table.rows()}
    of = {clause for (k, component), clause in found.items() if component == "toxic"}

    assert "toxicity < 0.5" == found[key("web:rude"), "clean"]
    assert "toxicity < 0.5 [null]" == found[key("web:unscored"), "clean"]
    assert "[empty]" == found[key("web:empty"), "clean"]
    assert ["[superseded]", "toxicity < 0.5"] == sorted(
        table.filter(pl.col("key") == key("web:twice"))["clause"]
    )
    assert (key("web:used"), "clean") not in found
    assert {"[unused]"} == of


def test_a_document_that_an_earlier_component_has_says_so(tmp_path: Path) -> None:
    """In one source by its `where`, in another by its key: the first in the recipe has it."""
    pol = [Doc(f"pol:{n}", 10, n / 10) for n in range(10)]
    web = [Doc("pol:0", 10, 0.9), *(Doc(f"web:{n}", 10) for n in range(4))]
    table = lists(tmp_path, HEAD + FIRST, {"web": [web], "pol": [pol]})["mix"]
    earlier = table.filter(pl.col("clause") == "[belongs to an earlier component]")

    assert {("any", key(f"pol:{n}")) for n in range(5)} | {("old", key("pol:0"))} == set(
        earlier.select("component", "key").rows()
    )


def test_pieces_are_listed_by_their_own_keys(tmp_path: Path) -> None:
    """A split document is left out piece by piece."""
    web = [Doc("web:a", 10, 0.9, piece=1), Doc("web:a", 10, 0.9, piece=2), Doc("web:b", 10)]
    text = HEAD.replace("[tokenizer]", "[tokenizer]\nmax_document_tokens = 10")
    text += '[component.clean]\nsource = "web"\nwhere = "toxicity < 0.5"\ntokens = 10\n'
    text += '[component.toxic]\nsource = "pol"\ntokens = 10\n'
    table = lists(tmp_path, text, {"web": [web], "pol": [[Doc("pol:a", 10)]]})["mix"]

    assert {key("web:a#1"), key("web:a#2")} == set(table["key"])


def test_controls_and_what_was_taken_down(tmp_path: Path) -> None:
    """A stand-in leaves what the component before it took; what was removed is nowhere."""
    control = '[control.mild]\nlike = "25pct"\nreplace = { toxic = "clean" }\n'
    world = {s: [[Doc(f"{s}:{n}", 50) for n in range(60)]] for s in ("web", "pol")}
    table = lists(tmp_path / "a", SWEEP + control, world)["mild"]

    assert {"clean", "clean-for-toxic"} == set(table["component"])
    told = recipe.parse(SWEEP, Path("test.toml"))
    parts = write_parts(tmp_path / "parts", world)
    gone = pl.Series([key("web:3")]).implode()
    options = {"bos": False, "removed": lambda keys, _: keys.is_in(gone)}
    mixing.make_plan(told, parts, out=tmp_path / "plan", **options)
    table = mixing.dropped(
        told, parts, plan=tmp_path / "plan", stem="25pct", work=tmp_path / "work", **options
    )

    assert key("web:3") not in table["key"].to_list()


@FAST
@given(worlds(groups=True), st.integers(1, 500), st.data())
def test_the_list_counts_what_the_plan_counts(
    world: Sources, tokens: int, data: st.DataObject
) -> None:
    """Over any world with copies, empty documents and a hold-out, for every arm."""
    more = [Doc(f"web:{n}", 1, 0.0) for n in range(1000, 1000 + data.draw(st.integers(0, 3)))]
    again = [row for row in world["web"][0] if data.draw(st.booleans())]
    full = {**world, "web": [*world["web"], more, again]}
    text = SWEEP.replace("1_000", str(tokens)) + "[holdout]\ntokens = 100\n"
    with folder() as place:
        try:
            found = lists(place, text, full)
        except InfeasibleError:
            return

    assert "holdout" in found


def test_lists_do_not_depend_on_parts(tmp_path: Path) -> None:
    """The same documents in other parts and order: the same list."""
    rows = [Doc(f"web:{n}", 10, n / 40) for n in range(40)]
    pol = [[Doc(f"pol:{n}", 10) for n in range(20)]]
    text = SWEEP.replace("1_000", "100")
    one = lists(tmp_path / "a", text, {"web": [rows], "pol": pol})
    two = lists(tmp_path / "b", text, {"web": [rows[25:], rows[:25][::-1]], "pol": pol})

    assert one.keys() == two.keys()
    assert all(one[stem].equals(two[stem]) for stem in one)


def test_nothing_left_out_is_an_empty_list(tmp_path: Path) -> None:
    """All of a source in one component."""
    text = HEAD.split("[source.pol]")[0] + '[component.clean]\nsource = "web"\nepochs = 1\n'
    table = lists(tmp_path, text, {"web": [[Doc("web:a", 10)]]})["mix"]

    assert 0 == table.height
    assert {"key": pl.Binary, "component": pl.String, "clause": pl.String} == table.schema
