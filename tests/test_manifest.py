"""A manifest is believed only as far as its own digests carry."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import manifest
from curate.errors import IntegrityError, UsageError
from curate.fingerprint import canonical, digest
from tests.tiny_files import seal
from tests.tiny_mix import some_documents, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny mix."""
    return write(tmp_path / "tiny" / "1.0.0", documents=some_documents(), shard_tokens=200)


def facts_of(folder: Path) -> dict[str, Any]:
    """Its manifest, unchecked."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return found


def rebuilt(facts: dict[str, Any], **other: Any) -> dict[str, Any]:
    """The manifest that `build` makes of the same facts."""
    names = ("name", "version", "content", "origin", "files")
    return manifest.build(**{name: facts[name] for name in names} | other)


def test_what_is_built_is_what_is_loaded(folder: Path) -> None:
    """Building from the parts of a manifest gives its very bytes."""
    facts = manifest.load(folder)

    assert (folder / "manifest.json").read_bytes() == manifest.to_bytes(rebuilt(facts))
    assert facts == manifest.load(folder / "manifest.json")


def test_content_id_is_of_the_content_alone(folder: Path) -> None:
    """Another origin is another manifest with the same content."""
    facts = facts_of(folder)
    other = rebuilt(facts, origin={**facts["origin"], "tool": {"name": "tiny", "version": "2"}})

    assert facts["content_id"] == other["content_id"]
    assert facts["id"] != other["id"]


def test_ids_are_digests_anyone_can_compute(folder: Path) -> None:
    """`content_id` is sha256 of the canonical content, `id` of the manifest without `id`."""
    facts = facts_of(folder)
    rest = {name: value for name, value in facts.items() if name != "id"}

    assert digest(canonical(facts["content"])) == facts["content_id"]
    assert digest(canonical(rest)) == facts["id"]


def test_fractions_are_written_in_one_way(folder: Path) -> None:
    """1/4 given as a Fraction is the text "1/4"."""
    facts = facts_of(folder)
    facts["content"]["largest_deviation"]["value"] = Fraction(2, 8)

    assert "1/4" == rebuilt(facts)["content"]["largest_deviation"]["value"]


@pytest.mark.parametrize("value", [None, 0.1])
def test_nulls_and_floats_cannot_be_built(folder: Path, value: object) -> None:
    """What has no exact form is refused when it is written."""
    facts = facts_of(folder)

    with pytest.raises(TypeError):
        rebuilt(facts, estimates={"share": value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("files"), "files: missing"),
        (lambda m: m.update(more=1), "more: unknown field"),
        (lambda m: m["content"].pop("seed"), "content.seed: missing"),
        (lambda m: m["content"].update(extra=1), "content.extra: unknown field"),
        (lambda m: m["content"].update(n_tokens=-1), "content.n_tokens: not between"),
        (lambda m: m["content"].update(n_tokens=True), "content.n_tokens: not a whole number"),
        (lambda m: m.update(name="../x"), "name: not of the form"),
        (lambda m: m.update(name="a\n"), "name: not of the form"),
        (lambda m: m.update(version="1/2"), "version: not of the form"),
        (lambda m: m["content"].update(layout="random"), "content.layout: not one of"),
        (
            lambda m: m["content"]["components"][0].update(share="0.2"),
            "content.components[0].share: not of the form",
        ),
        (
            lambda m: m["content"]["shards"][0].update(name="00000-XXXXXXXX"),
            "content.shards[0].name: not of the form",
        ),
        (lambda m: m["content"].update(shards="all"), "content.shards: not a list"),
        (lambda m: m["origin"].pop("recipe"), "origin.recipe: missing"),
        (lambda m: m["origin"]["inputs"][0].update(name="a/b"), "origin.inputs[0].name: not of"),
    ],
)
def test_a_field_that_is_wrong_is_named(folder: Path, change: Any, words: str) -> None:
    """Each message says where and what, whoever sealed the manifest."""
    facts = facts_of(folder)
    change(facts)
    seal(folder, facts) if "files" in facts else _write(folder, facts)

    with pytest.raises(IntegrityError) as caught:
        manifest.load(folder)

    assert any(line.startswith(words) for line in caught.value.details), caught.value.details


def _write(folder: Path, facts: dict[str, Any]) -> None:
    (folder / "manifest.json").write_bytes(canonical(facts))


def test_open_fields_may_hold_more(folder: Path) -> None:
    """`origin` may say more than this version knows; `content` may not."""
    facts = facts_of(folder)
    facts["origin"]["weather"] = "fine"
    seal(folder, facts)

    assert "fine" == manifest.load(folder)["origin"]["weather"]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"\n",
        lambda data: data.replace(b'"layout":', b'"layout": '),
        lambda data: data.replace(b'{"content"', b'{"version":"0","content"'),
        lambda data: data.replace(b'"n_spans":', b'"n_spans":0,"n_spans":', 1),
        lambda data: data.replace(b"interleaved", b"interle\\u0061ved"),
        lambda data: data[:-1],
        lambda data: b"[]",
        lambda data: b"",
        lambda data: b"\xff" + data,
        lambda data: b"[" * 100_000,
        lambda data: data.replace(b'"seed":7', b'"seed":7.0'),
        lambda data: data.replace(b'"seed":7', b'"seed":null'),
        lambda data: data.replace(b'"seed":7', b'"seed":NaN'),
        lambda data: data.replace(b'"seed":7', b'"seed":' + b"9" * 5_000),
        lambda data: data.replace(b'"seed":7', b'"seed":8'),
        lambda data: data.replace(b'"tool":{"name":"tiny"', b'"tool":{"name":"tidy"'),
    ],
)
def test_bytes_that_were_not_written_so_are_refused(folder: Path, change: Any) -> None:
    """Canonical JSON has one form; anything else was touched."""
    path = folder / "manifest.json"
    data = path.read_bytes()
    path.write_bytes(change(data))

    assert data != path.read_bytes()
    with pytest.raises(IntegrityError):
        manifest.load(folder)


def test_an_unknown_format_says_what_is_known(folder: Path) -> None:
    """A manifest from the future is not guessed at."""
    facts = facts_of(folder)
    facts["format"] = "curate-manifest/2"
    _write(folder, facts)

    with pytest.raises(IntegrityError, match="unknown format 'curate-manifest/2'"):
        manifest.load(folder)


def test_a_folder_without_a_manifest_is_not_a_mix(tmp_path: Path) -> None:
    """The manifest is written last: without it nothing is finished."""
    with pytest.raises(IntegrityError, match="is missing"):
        manifest.load(tmp_path)


def test_the_published_schema_is_the_one_that_is_checked(root: Path, folder: Path) -> None:
    """docs/manifest.schema.json is `schema()`, valid itself, and accepts a manifest."""
    published = json.loads((root / "docs" / "manifest.schema.json").read_bytes())

    assert manifest.schema() == published
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(facts_of(folder), published)


MANIFEST_LIKE = st.recursive(
    st.one_of(st.integers(-3, 3), st.booleans(), st.sampled_from(["a", "1/2", "uint16", "0" * 64])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["table", "n_rows", "digest", "a"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(value=MANIFEST_LIKE, field=st.sampled_from(["seed", "shards", "components", "tokenizer"]))
def test_our_own_check_agrees_with_jsonschema(value: Any, field: str) -> None:
    """The checker at run time says yes to exactly what the public validator accepts."""
    from curate.manifest_schema import problems

    part = manifest.schema()["properties"]["content"]["properties"][field]
    validator = jsonschema.Draft202012Validator(part)

    # JSON Schema calls true no integer only in its own terms; so do we.
    assert validator.is_valid(value) == (problems(value, part) == [])


def rows(n: int) -> list[dict[str, Any]]:
    """n inputs."""
    return [
        {
            "source": "c4",
            "name": f"{number}.json.gz",
            "sha256": digest(str(number).encode()),
            "n_bytes": number,
            "n_records": 2,
            "n_documents": 1,
            "skipped": {"empty": 1},
            "rejected": {},
        }
        for number in range(n)
    ]


def test_a_list_that_fits_stays_in_the_manifest(folder: Path) -> None:
    """1,024 inputs are listed."""
    facts = facts_of(folder)
    origin = {**facts["origin"], "inputs": rows(1_024)}

    assert ({}, origin) == manifest.shorten(facts["content"], origin)[:0:-1]


def test_a_long_list_becomes_a_table_named_by_digest(folder: Path) -> None:
    """1,025 inputs are a table beside the manifest, and come back as they were."""
    facts = facts_of(folder)
    content, origin, tables = manifest.shorten(
        facts["content"], {**facts["origin"], "inputs": rows(1_025)}
    )
    tables["inputs.parquet"].write_parquet(folder / "inputs.parquet")
    made = rebuilt(facts, content=content, origin=origin)

    assert facts["content_id"] == made["content_id"]
    assert rows(1_025) == manifest.listed(made["origin"]["inputs"], folder)
    tables["inputs.parquet"].head(1_024).write_parquet(folder / "inputs.parquet")
    with pytest.raises(IntegrityError, match="does not hold the rows"):
        manifest.listed(made["origin"]["inputs"], folder)
    (folder / "inputs.parquet").write_bytes(b"PAR1")
    with pytest.raises(IntegrityError, match="cannot be read"):
        manifest.listed(made["origin"]["inputs"], folder)


def test_a_thousand_shards_and_inputs_fit_a_mebibyte(folder: Path) -> None:
    """The largest manifest without tables stays under 1 MiB."""
    facts = facts_of(folder)
    shard = {"sha256": "f" * 64, "n_tokens": 2**30, "n_spans": 2**22}
    windows = {"n_windows": [2**20] * 1_000, "n_dropped": {"clean": 8_191, "toxic": 8_191}}
    content = {
        **facts["content"],
        "shards": [{"name": f"{n:05d}-ffffffff", **shard} for n in range(1_000)],
        "windows": dict.fromkeys(("1024", "2048", "4096", "8192"), windows),
    }
    made = rebuilt(facts, content=content, origin={**facts["origin"], "inputs": rows(1_024)})

    assert len(manifest.to_bytes(made)) < 2**20


def test_a_mix_is_found_by_path_and_by_name(folder: Path) -> None:
    """`tiny@1.0.0`, and `tiny` as long as it has one version."""
    mixes = folder.parent.parent

    assert folder == manifest.locate("tiny@1.0.0", mixes)
    assert folder == manifest.locate("tiny", mixes)
    assert folder == manifest.locate(str(folder), mixes)
    write(mixes / "tiny" / "1.0.1", documents=some_documents(), version="1.0.1")
    with pytest.raises(UsageError, match="more than one"):
        manifest.locate("tiny", mixes)
    with pytest.raises(UsageError, match="no mix"):
        manifest.locate("tiny@2", mixes)
