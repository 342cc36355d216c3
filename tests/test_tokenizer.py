"""Loading tokenizers: names, EOS and BOS by text, width, pins."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from curate.errors import InputError, IntegrityError, RecipeError
from curate.fingerprint import digest
from curate.lock import parse
from curate.tokenizer import PROBE_TEXT, from_bytes, load
from tests import tiny_files
from tests.journeys import walk

BYTES = tiny_files.tokenizer_json()
END = "<|endoftext|>"


def words(n: int) -> bytes:
    """A tokenizer of the words w0, w1, …, split at white space."""
    record = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {
            "type": "WordLevel",
            "vocab": {f"w{i}": i for i in range(n)},
            "unk_token": "w0",
        },
    }
    return json.dumps(record).encode()


def changed(**fields: Any) -> bytes:
    """The byte tokenizer with other fields."""
    return json.dumps({**json.loads(BYTES), **fields}).encode()


def test_a_byte_is_a_token() -> None:
    """The hand-made tokenizer gives each byte its own number and ends with 256."""
    tokenizer = from_bytes(BYTES, name="bytes", eos=END)

    assert list("Añ".encode()) == tokenizer.encode("Añ")
    assert (257, "uint16", 256) == (tokenizer.n_vocab, tokenizer.dtype, tokenizer.eos_id)
    assert (*PROBE_TEXT.encode(), 256) == tokenizer.probe


@pytest.mark.parametrize(("n", "dtype"), [(65_536, "uint16"), (65_537, "uint32")])
def test_width_follows_the_vocabulary(n: int, dtype: str) -> None:
    """uint16 up to 65,536 entries, uint32 from there."""
    assert dtype == from_bytes(words(n), name="words", eos="w1").dtype


def test_holes_count_in_the_vocabulary() -> None:
    """The vocabulary ends at its largest id, whatever is missing before."""
    record = json.loads(words(3))
    record["model"]["vocab"]["far"] = 70_000
    tokenizer = from_bytes(json.dumps(record).encode(), name="holes", eos="w1")

    assert (70_001, "uint32") == (tokenizer.n_vocab, tokenizer.dtype)


def test_eos_is_looked_up_by_text() -> None:
    """An EOS that does not exist is refused with those that do."""
    with pytest.raises(RecipeError) as caught:
        from_bytes(BYTES, name="bytes", eos="</s>")

    assert ["its special tokens are '<|endoftext|>'"] == caught.value.details
    assert 'eos = "<|endoftext|>"' == caught.value.hint


def test_an_eos_that_is_read_with_another_id_is_refused() -> None:
    """Engines number added tokens after the vocabulary, whatever the file says of them."""
    end = {**json.loads(BYTES)["added_tokens"][0], "id": 300}

    with pytest.raises(InputError, match="has the id 300, and is read so that it has 256"):
        from_bytes(changed(added_tokens=[end]), name="bytes", eos=END)


def test_bos_is_part_of_the_probe() -> None:
    """With a BOS, the probe begins with it."""
    tokenizer = from_bytes(words(4), name="words", eos="w1", bos="w2")

    assert (2, 1) == (tokenizer.probe[0], tokenizer.probe[-1])


def test_eos_and_bos_differ() -> None:
    """One token cannot be both: readers that know a BOS cut only where it follows EOS."""
    with pytest.raises(RecipeError, match="both"):
        from_bytes(BYTES, name="bytes", eos=END, bos=END)


def test_a_typed_special_token_is_text() -> None:
    """The text of EOS, typed, is thirteen bytes and not EOS."""
    tokenizer = from_bytes(BYTES, name="bytes", eos=END)

    assert list(END.encode()) == tokenizer.encode(END)


def test_a_forgotten_special_mark_is_made_up_for() -> None:
    """An EOS that the file does not mark special is still not made from text."""
    end = {**json.loads(BYTES)["added_tokens"][0], "special": False}
    data = changed(added_tokens=[end])
    tokenizer = from_bytes(data, name="bytes", eos=END)

    assert list(END.encode()) == tokenizer.encode(END)
    assert digest(data) == tokenizer.sha256


def test_truncation_and_padding_of_the_file_are_off() -> None:
    """A file that says to truncate to one token and pad to nine does neither."""
    truncation = {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}
    padding = {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "x",
    }  # fmt: skip
    tokenizer = from_bytes(changed(truncation=truncation, padding=padding), name="b", eos=END)

    assert [97, 98, 99] == tokenizer.encode("abc")


def test_dropout_is_refused() -> None:
    """BPE dropout gives other ids each time, so such a file is refused."""
    model = {**json.loads(BYTES)["model"], "dropout": 0.1}
    with pytest.raises(InputError, match="random"):
        from_bytes(changed(model=model), name="bytes", eos=END)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b'{"model": 3}', b'{"model": {"type": "BPE"}}', b"\xff\xfe", b"[" * 9999],
)
def test_what_is_not_a_tokenizer_is_refused(data: bytes) -> None:
    """Bytes that are no tokenizer.json are refused as input."""
    with pytest.raises(InputError):
        from_bytes(data, name="strange", eos=END)


def test_the_probe_is_checked() -> None:
    """Other ids for the probe text are an integrity error that says where they part."""
    tokenizer = from_bytes(BYTES, name="bytes", eos=END)
    tokenizer.check_probe(tokenizer.probe)

    with pytest.raises(IntegrityError) as caught:
        tokenizer.check_probe((*tokenizer.probe[:5], 7, *tokenizer.probe[6:]))
    assert "the first 5 agree" == caught.value.details[1]


def test_normalises_as_the_file_says() -> None:
    """The normaliser is the file's: NFC joins a letter and its accent, none leaves them."""
    composed = from_bytes(changed(normalizer={"type": "NFC"}), name="nfc", eos=END)
    plain = from_bytes(BYTES, name="bytes", eos=END)

    assert "\u00e9" == composed.normalise("e\u0301")
    assert "e\u0301" == plain.normalise("e\u0301")


def test_a_path_is_read(tmp_path: Path) -> None:
    """A path gives the name and the digest of its file."""
    (tmp_path / "My Tokens.json").write_bytes(BYTES)
    tokenizer = load(str(tmp_path / "My Tokens.json"), eos=END)

    assert ("my-tokens", digest(BYTES)) == (tokenizer.name, tokenizer.file_sha256)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("builtin:other", "no such tokenizer"),
        ("nowhere/tokenizer.json", "no tokenizer file"),
        ("hf://tokenizer.json", "cannot read tokenizer name"),
        ("hf://org/name", "cannot read tokenizer name"),
    ],
)
def test_names_that_mean_nothing_are_refused(file: str, message: str) -> None:
    """An unknown name is a mistake of the recipe."""
    with pytest.raises(RecipeError, match=message):
        load(file, eos=END)


def test_a_folder_names_the_file_in_it(tmp_path: Path) -> None:
    """A folder is refused with the line that was probably meant."""
    with pytest.raises(RecipeError) as caught:
        load(str(tmp_path), eos=END)

    assert f"file = {json.dumps(str(tmp_path / 'tokenizer.json'))}" == caught.value.hint


def test_real_tokenizers_are_what_their_owner_says(shared: Path) -> None:
    """Sizes, widths and EOS of the two tokenizers of OLMo, and their sums."""
    lines = (shared / "tokenizers/SHA256SUMS").read_text().splitlines()
    sums = {name: sum_ for sum_, name in map(str.split, lines)}
    found = {}
    for name in ("allenai_gpt-neox-olmo-dolma-v1_5.json", "allenai_dolma2.json"):
        tokenizer = load(str(shared / "tokenizers" / name), eos=END)
        assert sums[name] == tokenizer.sha256
        found[name] = (tokenizer.n_vocab, tokenizer.dtype, tokenizer.eos_id)

    assert {
        "allenai_gpt-neox-olmo-dolma-v1_5.json": (50_280, "uint16", 50_279),
        "allenai_dolma2.json": (100_278, "uint32", 100_257),
    } == found


OLD, NEW = "0123456789abcdef" * 2 + "01234567", "fedcba9876543210" * 2 + "fedcba98"


class Hub(BaseHTTPRequestHandler):
    """The two answers of the Hub that a download needs; `commits` says where each name points."""

    commits: ClassVar[dict[str, str]] = {}
    content: ClassVar[dict[str, bytes]] = {OLD: BYTES, NEW: BYTES + b"\n"}

    def _answer(self, body: bool) -> None:
        asked = re.fullmatch("/org/some-name/resolve/(.+)/tokenizer.json", self.path)
        commit = self.commits.get(asked[1], asked[1]) if asked else ""
        content = self.content.get(commit, b"")
        self.send_response(200 if content else 404)
        if content:
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{digest(content)}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        """Headers only."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Headers and file."""
        self._answer(body=True)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    """Address of a local Hub with one file, in two commits."""
    Hub.commits = {"v2": OLD, "main": OLD}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def loaded(file: str, home: Path, **environment: str) -> str:
    """Load in a new process (the Hub's address is read on import): the name or the error."""
    code = (
        "import sys; from curate.errors import CurateError; from curate.tokenizer import load\n"
        f"try: t = load(sys.argv[1], eos={END!r}); print(t.name, t.sha256)\n"
        "except CurateError as error: print(error.code, error.message)"
    )
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith("HF_") and "proxy" not in k.lower()
    }
    done = subprocess.run(
        [sys.executable, "-c", code, file],
        env={**clean, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_hub_is_asked_once(hub: str, tmp_path: Path) -> None:
    """A file of a revision is downloaded, then found without a network."""
    file = "hf://org/some-name@v2/tokenizer.json"
    expected = f"some-name {digest(BYTES)}"

    assert expected == loaded(file, tmp_path, HF_ENDPOINT=hub)
    assert expected == loaded(file, tmp_path, HF_HUB_OFFLINE="1")


def test_a_lock_pins_the_commit_of_a_tokenizer(hub: str, tmp_path: Path) -> None:
    """What the Hub has by now does not matter to a locked recipe, on another machine too."""
    (tmp_path / "text.txt").write_text("a mild word\n")
    (tmp_path / "r.toml").write_text(
        'name = "r"\nversion = "1.0.0"\nseed = 1\n'
        f'[tokenizer]\nfile = "hf://org/some-name/tokenizer.json"\neos = "{END}"\n'
        '[source.s]\nreader = "text"\nfiles = ["text.txt"]\nlicense = "MIT"\n'
        '[component.c]\nsource = "s"\nepochs = 1\n'
    )

    def told(*arguments: str, home: str) -> str:
        here = {"HF_HOME": str(tmp_path / home), "HF_HUB_DISABLE_XET": "1", "HF_ENDPOINT": hub}
        walk.curate(*arguments, cwd=tmp_path, env=here)
        return str(parse((tmp_path / "r.lock").read_text()).tokenizer["revision"])

    assert OLD == told("lock", "r.toml", home="mine")
    Hub.commits["main"] = NEW
    assert OLD == told("build", "r.toml", "--locked", home="another")
    assert OLD == told("lock", "r.toml", home="third")
    assert NEW == told("lock", "r.toml", "--force", home="fourth")


def test_a_file_the_hub_lacks_is_a_mistake_of_the_recipe(hub: str, tmp_path: Path) -> None:
    """A wrong file name is told as such."""
    said = loaded("hf://org/some-name@v2/other.json", tmp_path, HF_ENDPOINT=hub)

    assert "recipe org/some-name has no file other.json" == said


def test_no_network_and_no_copy_is_a_remote_failure(tmp_path: Path) -> None:
    """Without a network and a cached copy the error is the remote's."""
    said = loaded("hf://org/some-name/tokenizer.json", tmp_path, HF_HUB_OFFLINE="1")

    assert said.startswith("remote cannot download hf://org/some-name/tokenizer.json")
