"""Damaged, swapped and hostile models: the process that asks never dies, hangs or believes them."""

import json
import os
import pickle
import random
import shutil
import struct
import time
import zipfile
from pathlib import Path

import fasttext
import pytest

from curate import taggers
from curate.errors import CurateError, InputError, IntegrityError
from curate.taggers import checkpoint, fasttext_file, probe, shelf, work

WHERE = "x.toml"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense model of a few kilobytes, with pairs of words."""
    folder = tmp_path_factory.mktemp("small")
    lines = "__label__toxic you silly fool\n__label__clean a nice day\n" * 100
    (folder / "lines.txt").write_text(lines)
    model = fasttext.train_supervised(
        str(folder / "lines.txt"), dim=4, minCount=1, wordNgrams=2, bucket=50, thread=1, verbose=0
    )
    model.save_model(str(folder / "small.bin"))
    return folder / "small.bin"


def declared(path: Path) -> dict[str, object]:
    """A model as a recipe would name it, without a pin: its digest is what is found."""
    return taggers.declare("t", {"model": str(path), "label": "toxic"}, where=WHERE)


def mutated(data: bytes, draw: random.Random) -> bytes:
    """One of six kinds of damage."""
    kind = draw.randrange(6)
    at = draw.randrange(len(data))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data + bytes(draw.randrange(1, 50))
    changed = bytearray(data)
    if kind == 2:
        changed[at] ^= 1 << draw.randrange(8)
    elif kind == 3:
        del changed[at : at + draw.randrange(1, 9)]
    elif kind == 4:  # in the header and dictionary, where lengths are
        at = draw.randrange(min(400, len(data) - 8))
        changed[at : at + 4] = struct.pack("<i", draw.choice([-1, 0, 1 << 30, 2**31 - 1]))
    else:
        end = min(len(data), at + draw.randrange(1, 200))
        changed[at:end] = draw.randbytes(end - at)
    return bytes(changed)


def test_the_header_says_what_the_library_says(small: Path) -> None:
    """Labels, dimension, words: parsed here and by fastText, dense and quantized."""
    for path in (small, shelf.located("builtin:toxicity")):
        model = fasttext.load_model(str(path))
        found = fasttext_file.header(path.read_bytes())

        assert model.get_labels() == list(found.labels)
        assert model.get_dimension() == found.dim
        assert model.is_quantized() == found.quantized


def test_every_truncation_is_found_before_the_library_sees_it(small: Path) -> None:
    """A file cut anywhere is not a model; neither is one with a byte too many."""
    data = small.read_bytes()
    for end in range(len(data)):
        with pytest.raises(InputError, match="not a fastText model"):
            fasttext_file.header(data[:end])
    with pytest.raises(InputError, match="follow its end"):
        fasttext_file.header(data + b"\0")


def test_300_mutated_pinned_models_are_refused(tmp_path: Path, scale: int) -> None:
    """Whatever was done to a model, its digest tells; nothing is loaded (exit 3)."""
    told = taggers.declare("toxicity", {"model": "builtin:toxicity"}, where=WHERE)
    original = shelf.located("builtin:toxicity").read_bytes()
    draw = random.Random(1)
    path = tmp_path / "model.ftz"
    for _ in range(300 * scale):
        path.write_bytes(mutated(original, draw))
        if path.read_bytes() == original:
            continue
        with pytest.raises(IntegrityError, match="not the model that was declared") as caught:
            work.opened({**told, "model": str(path)})

        assert 3 == caught.value.exit_code


def test_300_mutated_models_without_a_pin_do_no_harm(
    small: Path, tmp_path: Path, scale: int
) -> None:
    """
    Declared as they are, damaged models are refused (exit 3 or 4), or load and give probabilities:
    a changed weight is a model too, which is why there are pins. This process lives on, in time.
    """
    data = small.read_bytes()
    draw = random.Random(2)
    began, refused, children = time.monotonic(), 0, 0
    for run in range(300 * scale):
        path = tmp_path / f"model-{run}.bin"
        path.write_bytes(mutated(data, draw))
        try:
            told = declared(path)
            probe.parsed(path)
        except InputError:
            refused += 1
            continue
        if children >= 12 * scale:  # each child takes half a second
            continue
        children += 1
        try:
            probe.probe(told)
        except CurateError as error:
            refused += 1
            assert error.exit_code in (2, 3, 4)

    assert 150 * scale < refused
    assert 0 < children
    assert time.monotonic() - began < 600 * scale


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", "ended with -11"),
        ("import time; time.sleep(3600)", "did not load within"),
        ("while True: pass", "ended with -"),
        ("x = bytearray(1 << 50)", "ended with 1"),
        ("import os; print('nonsense', flush=True); os._exit(0)", "ended with 0"),
    ],
)
def test_a_child_that_dies_hangs_or_raves_is_an_error(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    """A model that kills, stops or fills the process that loads it (its stand-in does): exit 4."""
    fake = tmp_path / "fasttext"
    fake.mkdir()
    (fake / "__init__.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    monkeypatch.setitem(probe._LIMITS, "fasttext", (3 << 30, 1))

    with pytest.raises(InputError) as caught:
        probe.probe(declared(small))

    assert message in caught.value.render()
    assert 4 == caught.value.exit_code


def test_a_model_that_does_not_keep_its_card_s_word_is_refused(small: Path, tmp_path: Path) -> None:
    """Golden scores guard against a model that loads but is another one (exit 3)."""
    path = tmp_path / "small.bin"
    shutil.copy(small, path)
    card = {"format": "curate-model/1", "label": "toxic", "normalise": "lines"}
    golden = [{"text": "you silly fool", "score": "0.000100"}]
    path.with_suffix(".json").write_text(json.dumps({**card, "golden": golden}))

    with pytest.raises(IntegrityError, match="scores of its card"):
        probe.probe(taggers.declare("t", {"model": str(path)}, where=WHERE))


def test_the_shipped_model_keeps_its_word() -> None:
    """Its digest is the card's, and its golden scores come out."""
    path = shelf.located("builtin:toxicity")
    card = shelf.card(path)

    assert card["sha256"] == shelf.digest(path)
    assert path.stat().st_size <= 5_000_000
    assert 4 <= len(card["golden"])
    probe.probe(taggers.declare("t", {"model": "builtin:toxicity"}, where=WHERE))


def test_only_what_was_shipped_is_spared_the_child(tmp_path: Path) -> None:
    """The same bytes under another name, or others under a shipped one, are tried first."""
    shipped = taggers.declare("t", {"model": "builtin:toxicity"}, where=WHERE)
    copy = tmp_path / "toxicity.ftz"
    shutil.copy(shelf.located("builtin:toxicity"), copy)

    assert shelf.is_shipped(shipped)
    assert not shelf.is_shipped({**shipped, "sha256": "0" * 64})
    assert not shelf.is_shipped(declared(copy))


def test_a_url_is_found_by_its_digest(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model fetched before lies in the cache under its digest; without it the way is told."""
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path))
    pin = shelf.digest(small)
    options = {"model": "https://models.example/m.bin", "sha256": pin, "label": "toxic"}
    options["kind"] = "fasttext"
    with pytest.raises(InputError, match="not fetched yet"):
        taggers.declare("t", options, where=WHERE)
    (tmp_path / "models").mkdir()
    shutil.copy(small, tmp_path / "models" / pin)

    assert pin == taggers.declare("t", options, where=WHERE)["sha256"]


def test_an_empty_or_absent_model_is_an_error(tmp_path: Path) -> None:
    """Nothing to load is said so."""
    (tmp_path / "empty.bin").touch()
    with pytest.raises(InputError, match="folder or empty"):
        probe.parsed(tmp_path / "empty.bin")
    with pytest.raises(InputError, match="no such model"):
        declared(tmp_path / "absent.bin")


class Hostile:
    """Runs something when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch harmed",))


def folder_with(tmp_path: Path, body: bytes, *, zipped: bool) -> Path:
    """A Detoxify folder whose checkpoint is `body`."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    if zipped:
        with zipfile.ZipFile(tmp_path / "model.ckpt", "w") as archive:
            archive.writestr("model/data.pkl", body)
    else:
        (tmp_path / "model.ckpt").write_bytes(body)
    return tmp_path


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_code_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    """Both layouts of torch; the call is named and not made (exit 4)."""
    monkeypatch.chdir(tmp_path)
    body = pickle.dumps(Hostile()) if zipped else pickle.dumps(1) * 3 + pickle.dumps(Hostile())

    with pytest.raises(InputError, match="would call"):
        checkpoint.described(folder_with(tmp_path, body, zipped=zipped))

    assert not (tmp_path / "harmed").exists()


def arch(**more: object) -> dict[str, object]:
    """A checkpoint's content without weights."""
    args = {"model_name": "BertForSequenceClassification", "num_classes": 2, **more}
    classes = {"classes": ["toxic", "insult"]}
    config = {"arch": {"args": args}, "dataset": {"args": classes}}
    return {"config": config, "state_dict": {}}


def test_heads_are_those_of_the_checkpoint_by_detoxify_s_names(tmp_path: Path) -> None:
    """`toxic` is `toxicity`; the order is the checkpoint's; no torch is needed."""
    folder = folder_with(tmp_path, pickle.dumps(arch()), zipped=True)

    assert ("BertForSequenceClassification", ["toxicity", "insult"]) == checkpoint.described(folder)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (pickle.dumps({}), "lacks its config"),
        (pickle.dumps(arch(num_classes=3)), "lacks its config or heads"),
        (pickle.dumps(arch(model_name="Trainer")), "not one of Detoxify's"),
        (pickle.dumps(arch())[:-9], "damaged"),
        (b"", "damaged"),
    ],
)
def test_what_is_no_detoxify_checkpoint_is_refused(
    tmp_path: Path, body: bytes, message: str
) -> None:
    """Missing parts, other networks and damage are told apart (exit 4)."""
    with pytest.raises(InputError, match=message):
        checkpoint.described(folder_with(tmp_path, body, zipped=True))


def test_a_folder_needs_one_checkpoint_and_its_files(tmp_path: Path) -> None:
    """No checkpoint, two of them, or no tokenizer: each is said."""
    with pytest.raises(InputError, match="0 files"):
        checkpoint.described(tmp_path)
    folder_with(tmp_path, b"", zipped=False)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        checkpoint.described(tmp_path)


def test_300_mutated_checkpoints_do_no_harm(tmp_path: Path, scale: int) -> None:
    """A damaged checkpoint is refused (exit 4), or says the same heads as before or others."""
    data = pickle.dumps(arch())
    draw = random.Random(3)
    refused = 0
    for _ in range(300 * scale):
        folder = folder_with(tmp_path, mutated(data, draw), zipped=draw.random() < 0.5)
        try:
            _, heads = checkpoint.described(folder)
        except InputError as error:
            refused += 1
            assert 4 == error.exit_code
        else:
            assert 2 == len(heads)

    assert 100 * scale < refused
