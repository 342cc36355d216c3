"""Configurations name every shard and exact counts; what a download lost comes back."""

import ast
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from curate import files
from curate.cli import use as command
from curate.errors import IntegrityError, UsageError
from curate.mix import Mix
from curate.shards import exports, trainers
from curate.shards.mend import mend
from tests import shards_world, tiny_mix


def make(tmp_path: Path, *, layout: str = "interleaved", dtype: str = "uint16") -> Mix:
    """A finished mix of two components in shards of at most 300 tokens."""
    documents = tiny_mix.some_documents()
    world = shards_world.make(tmp_path / "store", documents, dtype=dtype)
    spans = shards_world.planned(documents)
    if layout == "by-source":
        spans.sort(key=lambda span: span.document.component)
    out = tmp_path / "mixes" / "tiny" / "1.0.0"
    content = world.write(
        spans, out, layout=layout, shard_tokens=300, by_source=layout == "by-source"
    )
    shards_world.finish(out, content)
    return Mix.open(out)


def sizes(mix: Mix) -> list[int]:
    return [shard["n_tokens"] for shard in mix.shards]


@pytest.mark.parametrize("layout", ["interleaved", "by-source"])
@pytest.mark.parametrize("trainer", trainers.TRAINERS)
def test_every_trainer_is_told_exact_counts(tmp_path: Path, trainer: str, layout: str) -> None:
    """The head says tokens, windows and steps as one counts them from the shards."""
    mix = make(tmp_path, layout=layout)
    text = trainers.configuration(mix, trainer, sequence=32, batch=4, links=tmp_path / "links")
    longer = trainer in ("nanotron", "datatrove", "litgpt")
    less = int(trainer in ("megatron", "gpt-neox"))
    windows = sum((n - less) // (33 if longer else 32) for n in sizes(mix))

    assert f"# {mix.n_tokens:,} tokens, " in text
    assert f"# {windows:,} windows of {33 if longer else 32} tokens: {windows // 4:,} steps" in text
    assert {t["name"] for t in mix.content["components"]} <= set(text.replace(":", " ").split())


@pytest.mark.parametrize("trainer", ["olmo-core", "megatron", "gpt-neox"])
def test_every_shard_is_named_once(tmp_path: Path, trainer: str) -> None:
    """Nothing is left to a glob."""
    mix = make(tmp_path)
    text = trainers.configuration(mix, trainer, sequence=32, batch=4)

    assert [1] * len(mix.shards) == [text.count(shard["name"]) for shard in mix.shards]


def test_gpt_neox_gets_train_valid_and_test(tmp_path: Path) -> None:
    """It asserts that there are all three: the hold-out's beside the mix, or no evaluation."""
    mix = make(tmp_path)
    told = yaml.safe_load(trainers.configuration(mix, "gpt-neox", sequence=32, batch=2))
    assert told["train_data_paths"] == told["valid_data_paths"] == told["test_data_paths"]
    assert 0 == told["eval_iters"]

    name = mix.manifest["origin"]["recipe"]["name"] + "-holdout"
    held = tiny_mix.write(
        mix.folder.parent.parent / name / "1.0.0", name=name, documents=tiny_mix.some_documents()
    )
    told = yaml.safe_load(trainers.configuration(mix, "gpt-neox", sequence=32, batch=2))
    [shard] = Mix.open(held).shards
    assert [str(held.resolve() / "shards" / shard["name"])] == told["valid_data_paths"]
    assert [float(shard["n_tokens"])] == told["test_data_weights"]
    assert sizes(mix) == told["train_data_weights"]
    assert "eval_iters" not in told


def test_lingua_is_told_how_many_ranks_read_all(tmp_path: Path) -> None:
    """It gives each rank a chunk and leaves out the rest."""
    mix = make(tmp_path)
    n = len(mix.shards)

    assert f"# {n} chunks are read by {n} ranks" in (
        trainers.configuration(mix, "lingua", sequence=32, batch=2)
    )


def test_megatron_blends_by_tokens(tmp_path: Path) -> None:
    """Of a by-source mix the weight of each prefix is its tokens."""
    mix = make(tmp_path, layout="by-source")
    text = trainers.configuration(mix, "megatron", sequence=32, batch=4)
    folder = mix.folder.resolve() / "shards"

    for shard in mix.shards:
        assert f"  {shard['n_tokens']} {folder / shard['name']} \\\n" in text


def test_nanotron_gets_a_folder_for_each_component(tmp_path: Path) -> None:
    """Links hold each component's shards and sidecars, and nothing of the other's."""
    mix = make(tmp_path, layout="by-source")
    text = trainers.configuration(mix, "nanotron", sequence=32, batch=2, links=tmp_path / "links")
    told = yaml.safe_load(text)["data_stages"][0]["data"]["dataset"]
    assert yaml.safe_load(text)["tokenizer"]["tokenizer_name_or_path"] == told["tokenizer_name"]
    found: dict[str, int] = {}
    for folder in told["dataset_folder"]:
        held = sorted(Path(folder).glob("*.ds"))
        assert len(held) == len(list(Path(folder).glob("*.ds.index")))
        # nanotron asserts that each of its metadata names the tokenizer of its configuration
        lines = {p.read_text().split("\n")[0] for p in Path(folder).glob("*.metadata")}
        assert {f"{told['tokenizer_name']}|{told['token_size_in_bytes']}"} == lines
        found[Path(folder).name] = sum(len(np.fromfile(path, "<u2")) for path in held)

    assert {c["name"]: c["n_tokens"] for c in mix.content["components"]} == found
    assert abs(sum(told["dataset_weights"]) - 1) < 1e-9
    again = trainers.configuration(mix, "nanotron", sequence=32, batch=2, links=tmp_path / "links")
    assert text == again


@pytest.mark.parametrize("layout", ["interleaved", "by-source"])
def test_nanotron_needs_a_place_for_links(tmp_path: Path, layout: str) -> None:
    """Nothing is written where nobody said."""
    with pytest.raises(UsageError, match="under other names"):
        trainers.configuration(make(tmp_path, layout=layout), "nanotron", sequence=32, batch=2)


def test_nanotron_gets_no_shard_of_another_mix(tmp_path: Path) -> None:
    """It reads whatever lies in a folder, so that a folder which was used before is refused."""
    links = tmp_path / "links" / "tiny"
    links.mkdir(parents=True)
    (links / "00000-00000000.ds").symlink_to("/nowhere")

    with pytest.raises(UsageError, match="has links to shards of another mix"):
        trainers.configuration(
            make(tmp_path), "nanotron", sequence=32, batch=2, links=tmp_path / "links"
        )


@pytest.mark.parametrize(
    ("sequence", "batch", "hint"), [(32, 10_000, "--batch-size "), (9_999, 1, "--sequence-length")]
)
def test_a_configuration_without_a_step_is_an_error(
    tmp_path: Path, sequence: int, batch: int, hint: str
) -> None:
    """Whoever pasted 0 steps would learn of it from the trainer."""
    mix = make(tmp_path)
    for trainer in ("olmo-core", "megatron", "nanotron", "nanogpt", "litgpt", "mosaicml", "llmc"):
        with pytest.raises(UsageError, match="has no step") as caught:
            trainers.configuration(mix, trainer, sequence=sequence, batch=batch, links=tmp_path)
        assert hint in caught.value.hint


def test_an_export_that_is_another_is_not_named(tmp_path: Path) -> None:
    """Of another window, of another mix, or of another layout."""
    mix, other = make(tmp_path / "a"), make(tmp_path / "b", dtype="uint32")
    export = tmp_path / "made"
    exports.export(mix, "mds", export, window=32)
    asked = {"sequence": 32, "batch": 2, "export": export}

    assert str(export) in trainers.configuration(mix, "mosaicml", **asked)
    for wrong, trainer, more in (
        (mix, "mosaicml", {"sequence": 64}),
        (other, "mosaicml", {}),
        (mix, "litgpt", {}),
        (mix, "olmo-core", {}),
    ):
        with pytest.raises(IntegrityError, match="is not the export"):
            trainers.configuration(wrong, trainer, **{**asked, **more})
    with pytest.raises(UsageError, match="megatron reads the mix as it is"):
        trainers.configuration(mix, "megatron", **asked)


def test_the_way_to_an_export_is_a_line_to_type(tmp_path: Path) -> None:
    """Into the folder that the configuration reads, whatever characters its name has."""
    text = trainers.configuration(
        make(tmp_path / "a b"), "trl", sequence=32, batch=2, export=Path("my export")
    )
    [line] = [line for line in text.splitlines() if line.startswith("# first: ")]

    assert ["--to", "parquet", "--out", "my export"] == shlex.split(line)[-4:]
    assert str(tmp_path / "a b" / "mixes" / "tiny" / "1.0.0") in shlex.split(line)


def test_paths_are_read_back_as_they_are(tmp_path: Path) -> None:
    """By Python and YAML, whatever alphabet or pictures a folder is called by."""
    mix = make(tmp_path / "caf\u00e9 \u6587 \U0001f642")
    told = {"sequence": 32, "batch": 2, "links": tmp_path / "\U0001f642"}
    neox = yaml.safe_load(trainers.configuration(mix, "gpt-neox", **told))
    [line] = [
        line
        for line in trainers.configuration(mix, "datatrove", **told).splitlines()
        if "shards" in line
    ]

    assert all(Path(f"{path}.bin").is_file() for path in neox["train_data_paths"])
    assert str(mix.folder.resolve() / "shards") == ast.literal_eval(line.strip().rstrip(","))


def test_a_mix_without_tokens_is_for_no_trainer(tmp_path: Path) -> None:
    """There is no shard that one could name."""
    mix = Mix.open(tiny_mix.write(tmp_path / "mix", name="tiny", documents=[]))
    for trainer in trainers.TRAINERS:
        with pytest.raises(UsageError, match="has no tokens"):
            trainers.configuration(mix, trainer, sequence=32, batch=2)


def test_nanogpt_reads_one_file(tmp_path: Path) -> None:
    """Several shards are one file one after the other, for they have no headers."""
    text = trainers.configuration(make(tmp_path), "nanogpt", sequence=32, batch=2)

    assert "shards/*.bin > DIR/train.bin" in text


def test_nanogpt_keeps_what_it_trains_on(tmp_path: Path) -> None:
    """A hold-out is val.bin, so that both fit in one folder; another mix's link stays."""
    whole, other, held = (
        Mix.open(tiny_mix.write(tmp_path / name / "1", name=name, documents=documents))
        for name, documents in (
            ("whole", tiny_mix.some_documents()),
            ("other", tiny_mix.some_documents(11)),
            ("held", tiny_mix.some_documents(10)),
        )
    )
    held.manifest["origin"]["arm"]["name"] = "holdout"
    told = {"sequence": 32, "batch": 2, "links": tmp_path / "data"}
    for mix in (whole, held):
        trainers.configuration(mix, "nanogpt", **told)

    for mix, name in ((whole, "train.bin"), (held, "val.bin")):
        assert (tmp_path / "data" / name).resolve().parent == (mix.folder / "shards").resolve()
    with pytest.raises(UsageError, match=r"train\.bin is in the way"):
        trainers.configuration(other, "nanogpt", **told)
    with pytest.raises(UsageError, match="whose files are sealed"):
        trainers.configuration(whole, "nanogpt", **{**told, "links": whole.folder})


def test_nanogpt_refuses_wide_ids(tmp_path: Path) -> None:
    """It would read each id as two."""
    with pytest.raises(UsageError, match="uint16 only"):
        trainers.configuration(make(tmp_path, dtype="uint32"), "nanogpt", sequence=32, batch=2)


def test_yaml_configurations_are_yaml(tmp_path: Path) -> None:
    """What is pasted into a YAML file parses as one."""
    mix = make(tmp_path)
    for trainer in ("gpt-neox", "nanotron", "mosaicml", "lingua", "levanter", "torchtune"):
        assert isinstance(
            yaml.safe_load(
                trainers.configuration(mix, trainer, sequence=32, batch=2, links=tmp_path / "links")
            ),
            dict,
        )


def test_python_configurations_are_python(tmp_path: Path) -> None:
    """What is pasted into a program compiles."""
    for layout in ("interleaved", "by-source"):
        mix = make(tmp_path / layout, layout=layout)
        for trainer in ("olmo-core", "datatrove", "trl", "webdataset", "grain", "modded-nanogpt"):
            text = trainers.configuration(mix, trainer, sequence=32, batch=2)
            compile(text, trainer, "exec")


def lose(mix: Mix, endings: tuple[str, ...]) -> dict[str, str]:
    """Delete files of every shard; returns the digests of all files before."""
    before = {p.name: files.sha256_of(p) for p in (mix.folder / "shards").iterdir()}
    for path in (mix.folder / "shards").iterdir():
        if path.name.partition(".")[2] in endings:
            path.unlink()
    return before


@pytest.mark.parametrize(
    "endings",
    [("bin", "ds"), ("npy",), ("npy", "bin"), ("idx", "ds.index", "ds.metadata", "csv.gz")],
)
@pytest.mark.parametrize("link", ["hard", "symbolic", "copy"])
def test_what_a_download_lost_comes_back(
    tmp_path: Path, endings: tuple[str, ...], link: str
) -> None:
    """Names and sidecars are made again, byte for byte; a second time there is nothing to do."""
    mix = make(tmp_path)
    before = lose(mix, endings)
    made = mend(mix, link)

    assert len(endings) * len(mix.shards) == len(made)
    assert before == {p.name: files.sha256_of(p) for p in (mix.folder / "shards").iterdir()}
    assert [] == mend(mix)


def test_a_sidecar_that_would_be_another_is_not_made(tmp_path: Path) -> None:
    """SHA256SUMS decides what a sidecar is."""
    mix = make(tmp_path)
    lose(mix, ("idx",))
    sums = mix.folder / "SHA256SUMS"
    lines = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join("0" * 64 + x[64:] if ".idx" in x else x for x in lines))

    with pytest.raises(IntegrityError, match="cannot be made again"):
        mend(mix)


def test_a_lost_shard_is_an_error(tmp_path: Path) -> None:
    """Ids cannot be made again from anything."""
    mix = make(tmp_path)
    lose(mix, ("npy", "bin", "ds"))

    with pytest.raises(IntegrityError, match="is missing"):
        mend(mix)


def test_the_command_mends_and_prints(tmp_path: Path) -> None:
    """`curate use` says on stderr what it made again, and on stdout only the configuration."""
    mix = make(tmp_path)
    lose(mix, ("bin",))
    arguments = ["tiny@1.0.0", "--out", str(tmp_path / "mixes"), "--trainer", "megatron"]
    arguments += ["--batch-size", "2"]
    done = CliRunner().invoke(command.command, [*arguments, "--sequence-length", "32"])
    told: dict[str, Any] = json.loads(
        CliRunner()
        .invoke(command.command, [*arguments, "--sequence-length", "32", "--json"])
        .stdout
    )

    assert 0 == done.exit_code, done.output
    assert f"made again: shards/{mix.shards[0]['name']}.bin" in done.stderr
    assert "--seq-length 32" in done.stdout
    assert ("tiny@1.0.0", "megatron", []) == (told["mix"], told["trainer"], told["made"])


def test_the_command_knows_every_trainer() -> None:
    """The list in the command line, which imports nothing, is the list there is."""
    assert trainers.TRAINERS == command.TRAINERS
