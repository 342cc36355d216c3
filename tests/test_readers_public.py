"""Fetching public dumps: from a small host on this machine, with every way it can fail."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from curate.errors import IntegrityError, RemoteError, UsageError
from curate.readers import public
from curate.readers.public import Dump, File

CONTENT = bytes(range(256)) * 40
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Host(ThreadingHTTPServer):
    """Zenodo and the Hub in one, as far as fetching needs them; `faults` are used up in turn."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: list[str] = []
        self.ranges: list[str | None] = []
        self.at = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        if self.path == "/api/records/7":
            entry = {
                "key": "dump.tar.zst",
                "size": len(CONTENT),
                "checksum": f"md5:{hashlib.md5(CONTENT).hexdigest()}",
            }
            self.answer(json.dumps({"files": [entry]}).encode())
        elif self.path.startswith("/api/datasets/allenai/c4"):
            self.answer(json.dumps({"id": "allenai/c4", "sha": COMMIT}).encode())
        elif self.path.endswith("/content") or f"/resolve/{COMMIT}/" in self.path:
            self.content()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        pointer = {
            "oid": hashlib.sha256(CONTENT).hexdigest(),
            "size": len(CONTENT),
            "pointerSize": 1,
        }
        names = ["en/c4-train.00000-of-01024.json.gz", "en/c4-train.00002-of-01024.json.gz"]
        found = [
            {"type": "file", "path": n, "size": len(CONTENT), "oid": "0" * 40, "lfs": pointer}
            for n in names
        ]
        self.answer(json.dumps(found).encode())

    def content(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        fault = self.server.faults.pop(0) if self.server.faults else ""
        if fault == "503":
            self.send_error(503)
            return
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if fault == "no ranges":
            first = 0
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        body = CONTENT[first:]
        if fault == "wrong":
            body = body[:-1] + b"?"
        self.wfile.write(body[: len(body) // 2] if fault == "drop" else body)

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


RECORD = Dump("zenodo", "7", "dump.tar.zst", 1, "4chan", "CC-BY-4.0", "a dump")


def listed(host: Host) -> File:
    (file,) = public.listed(RECORD, [0], endpoint=host.at)
    return file


def test_a_record_of_zenodo_is_listed_and_fetched(tmp_path: Path, host: Host) -> None:
    """Size and digest come from the host; the file gets its name after its check."""
    file = listed(host)
    advanced: list[int] = []
    path = public.fetch(file, tmp_path / "dumps", advance=advanced.append)

    assert (len(CONTENT), "md5") == (file.n_bytes, file.algorithm)
    assert CONTENT == path.read_bytes()
    assert ["dump.tar.zst"] == [p.name for p in path.parent.iterdir()]
    assert len(CONTENT) == sum(advanced)
    assert public.is_here(file, path.parent)


def test_files_of_the_hub_are_listed_and_fetched(tmp_path: Path, host: Host) -> None:
    """Digests are the Hub's pointers, and the address holds the commit."""
    files = public.listed(public.DUMPS["c4"], [0, 2], endpoint=host.at)
    path = public.fetch(files[1], tmp_path)

    assert ["sha256", "sha256"] == [file.algorithm for file in files]
    assert all(f"/resolve/{COMMIT}/en/c4-train.0000" in file.url for file in files)
    assert CONTENT == path.read_bytes()
    with pytest.raises(RemoteError, match="allenai/c4 has no"):
        public.listed(public.DUMPS["c4"], [5], endpoint=host.at)


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, host: Host) -> None:
    """Dropped connections and a busy host cost a pause each, not the bytes that came."""
    host.faults = ["drop", "503", "drop"]
    pauses: list[float] = []
    advanced: list[int] = []
    path = public.fetch(listed(host), tmp_path, pause=pauses.append, advance=advanced.append)

    assert CONTENT == path.read_bytes()
    assert ["bytes=0-", "bytes=5120-", "bytes=5120-", "bytes=7680-"] == host.ranges
    assert [1.0, 2.0, 4.0] == pauses
    assert len(CONTENT) == sum(advanced)


def test_a_host_without_ranges(tmp_path: Path, host: Host) -> None:
    """A host that sends everything again is taken at its word."""
    host.faults = ["drop", "no ranges"]

    assert CONTENT == public.fetch(listed(host), tmp_path, pause=lambda s: None).read_bytes()


def test_a_later_run_goes_on(tmp_path: Path, host: Host) -> None:
    """What an earlier run left is used; after too many failures it is left for the next."""
    host.faults = ["drop"] + ["503"] * 5
    file = listed(host)
    with pytest.raises(RemoteError, match="could not be fetched in 6 tries") as caught:
        public.fetch(file, tmp_path, pause=lambda s: None)

    assert 6 == caught.value.exit_code
    assert "5,120 bytes are kept" == caught.value.details[1]
    assert CONTENT == public.fetch(file, tmp_path).read_bytes()
    assert "bytes=5120-" == host.ranges[-1]


def test_wrong_bytes_are_refused(tmp_path: Path, host: Host) -> None:
    """A file that is not what its host said gets no name and leaves nothing to continue."""
    host.faults = ["wrong"]
    with pytest.raises(IntegrityError, match="is not what its host says"):
        public.fetch(listed(host), tmp_path)

    assert [] == list(tmp_path.iterdir())


def test_a_file_that_is_here_is_not_fetched(tmp_path: Path, host: Host) -> None:
    """A second run asks the host for nothing."""
    file = listed(host)
    public.fetch(file, tmp_path)
    public.fetch(file, tmp_path)

    assert 1 == len(host.ranges)


@pytest.mark.parametrize(
    ("text", "message"), [("x", "'x' is no file number"), ("0-8", "there are files 0 to 7")]
)
def test_file_numbers(text: str, message: str) -> None:
    """Numbers are checked before anything is asked of a host."""
    with pytest.raises(UsageError, match=message):
        public.numbers(text, 8)


def test_a_host_that_is_not_there() -> None:
    """No network is a remote error with a way out."""
    for dump in (RECORD, public.DUMPS["c4"]):
        with pytest.raises(RemoteError, match="cannot list"):
            public.listed(dump, [0], endpoint="http://127.0.0.1:9")


def test_the_command_says_what_it_takes(
    tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched before it was said how much that is, and somebody agreed."""
    from click.testing import CliRunner

    from curate.cli.fetch import command

    monkeypatch.setattr(public, "DUMPS", {"tiny": RECORD})
    monkeypatch.setattr(public, "listed", lambda dump, wanted: [listed_at(host)])
    run = CliRunner().invoke
    there = ["tiny", "--to", str(tmp_path)]
    dry = run(command, [*there, "--dry-run", "--json"])

    assert (len(CONTENT), 1, "CC-BY-4.0") == tuple(
        json.loads(dry.stdout)[key] for key in ("n_bytes", "n_missing", "license")
    )
    assert isinstance(run(command, there).exception, UsageError)
    assert [] == list(tmp_path.iterdir())
    done = run(command, [*there, "--yes"])

    assert 0 == done.exit_code
    assert 'reader  = "4chan"' in done.stdout
    assert CONTENT == (tmp_path / "dump.tar.zst").read_bytes()


def listed_at(host: Host) -> File:
    url = f"{host.at}/api/records/7/files/dump.tar.zst/content"
    return File("dump.tar.zst", url, len(CONTENT), "md5", hashlib.md5(CONTENT).hexdigest())
