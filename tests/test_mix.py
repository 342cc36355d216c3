"""`curate.open`: shards, windows and streams of a finished mix."""

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.errors import IntegrityError, MissingExtraError, UsageError
from curate.mix import Mix, Windows
from tests import tiny_files, tiny_mix


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mix of some 700 tokens in shards of at most 200."""
    base = tmp_path_factory.mktemp("mixes")
    return tiny_mix.write(
        base / "mixes" / "tiny" / "1.0.0",
        name="tiny",
        documents=tiny_mix.some_documents(),
        shard_tokens=200,
    )


@pytest.fixture
def mix(folder: Path) -> Mix:
    """The same, opened."""
    return curate.open(str(folder))


@pytest.mark.parametrize("how", ["folder", "manifest", "name"])
def test_opens_by_folder_manifest_or_name(folder: Path, how: str) -> None:
    """A mix opens by its folder, its manifest, or its name and version."""
    names: dict[str, Path | str] = {
        "folder": folder,
        "manifest": folder / "manifest.json",
        "name": "tiny@1.0.0",
    }

    assert "tiny@1.0.0" == Mix.open(names[how], mixes=folder.parent.parent).title


def test_a_name_without_a_mix_is_an_error(folder: Path) -> None:
    """An unknown name is refused as a mistake of the command line."""
    with pytest.raises(UsageError, match="names no mix"):
        Mix.open("tiny@9", mixes=folder.parent.parent)


def test_a_manifest_elsewhere_is_not_a_mix(folder: Path, tmp_path: Path) -> None:
    """A manifest copied out of its folder cannot be opened: its shards are not there."""
    lone = tmp_path / "1.0.0.json"
    lone.write_bytes((folder / "manifest.json").read_bytes())

    with pytest.raises(UsageError, match="without its mix"):
        Mix.open(lone)


def test_shards_are_the_stream(mix: Mix, folder: Path) -> None:
    """The shards one after the other are the ids that were written."""
    ids = np.concatenate([mix.shard(n) for n in range(len(mix.shards))])

    assert mix.n_tokens == len(ids)
    assert np.array_equal(tiny_files.ids_of(folder), ids)


def test_every_token_has_one_place(mix: Mix) -> None:
    """Positions of the stream and (shard, offset) are one to one, in order."""
    places = [mix.token(position) for position in range(mix.n_tokens)]

    assert places == [
        (shard, offset)
        for shard, facts in enumerate(mix.shards)
        for offset in range(facts["n_tokens"])
    ]


@pytest.mark.parametrize("position", [-1, 10**12])
def test_no_token_outside(mix: Mix, position: int) -> None:
    """A position outside of the stream is refused with the range."""
    with pytest.raises(UsageError, match="has no token"):
        mix.token(position)


@given(length=st.integers(1, 120), data=st.data())
def test_windows_cut_each_shard(mix: Mix, length: int, data: st.DataObject) -> None:
    """Windows are the slices of each shard at multiples of the stride, and no more fit."""
    overlap = data.draw(st.integers(0, length - 1))
    stride = length - overlap
    expected = [
        mix.shard(n)[start : start + length].tolist()
        for n in range(len(mix.shards))
        for start in range(0, mix.shards[n]["n_tokens"] - length + 1, stride)
    ]

    windows = mix.windows(length, overlap=overlap)

    assert expected == [window.ids.tolist() for window in windows]
    assert len(expected) == len(windows)


@given(length=st.integers(1, 120), data=st.data())
def test_boundaries_are_where_documents_end(mix: Mix, length: int, data: st.DataObject) -> None:
    """Inner boundaries of a window come right after each EOS, and nowhere else."""
    windows = mix.windows(length)
    window = windows[data.draw(st.integers(0, len(windows) - 1))]
    after_eos = [n + 1 for n, i in enumerate(window.ids.tolist()) if i == mix.eos_id]
    inner = [n for n in after_eos if n < length]

    assert [0, *inner, length] == window.boundaries.tolist()
    assert window.positions().tolist() == [
        n - max(b for b in [0, *inner] if b <= n) for n in range(length)
    ]


def test_a_window_names_its_documents(mix: Mix) -> None:
    """The rows of a window are the documents whose ids are in it, with their place in it."""
    windows = mix.windows(64)
    for number in range(len(windows)):
        window = windows[number]
        rows = windows.documents(number)

        for row in rows.iter_rows(named=True):
            from_span = max(window.start - row["start"], 0)
            n = row["window_end"] - row["window_start"]
            span = mix.shard(row["shard"])[row["start"] : row["start"] + row["n_tokens"]]
            assert row["shard"] == window.shard
            assert np.array_equal(
                span[from_span : from_span + n],
                window.ids[row["window_start"] : row["window_end"]],
            )


def test_as_many_windows_as_the_manifest_says(mix: Mix) -> None:
    """Without overlap, `windows` and the manifest agree."""
    for length, told in mix.content["windows"].items():
        assert sum(told["n_windows"]) == len(mix.windows(int(length)))


@given(length=st.integers(1, 90), world=st.integers(1, 7))
def test_ranks_read_every_window_once(mix: Mix, length: int, world: int) -> None:
    """The streams of all ranks together are the windows, each once, in their order by rank."""
    windows = mix.windows(length)
    streams = [windows.stream(rank=rank, world=world) for rank in range(world)]
    announced = [len(stream) for stream in streams]
    read = [[(w.shard, w.start) for w in stream] for stream in streams]

    assert announced == [len(r) for r in read]
    for rank in range(world):
        assert [windows.place(n) for n in range(rank, len(windows), world)] == read[rank]


@given(length=st.integers(1, 90), world=st.integers(1, 7))
def test_even_ranks_have_as_many(mix: Mix, length: int, world: int) -> None:
    """With `even` every rank reads as many windows, and fewer than `world` are left out."""
    windows = mix.windows(length)
    read = [len(list(windows.stream(rank=r, world=world, even=True))) for r in range(world)]

    assert [len(windows) // world] * world == read


@given(
    before=st.integers(1, 5),
    after=st.integers(1, 5),
    n_steps=st.integers(0, 9),
    length=st.integers(20, 60),
)
def test_resumes_with_another_world(
    mix: Mix, before: int, after: int, n_steps: int, length: int
) -> None:
    """What was read before a stop and after it, by however many ranks, is every window once."""
    windows = mix.windows(length)
    n_steps = min(n_steps, len(windows) // before)
    read = []
    for rank in range(before):
        stream = windows.stream(rank=rank, world=before)
        read += [(w.shard, w.start) for w, _ in zip(stream, range(n_steps), strict=False)]
    stopped = windows.stream(rank=0, world=before)
    for _ in zip(range(n_steps), stopped, strict=False):
        pass
    state = stopped.state_dict()
    for rank in range(after):
        stream = windows.stream(rank=rank, world=after)
        stream.load_state_dict(state)
        read += [(w.shard, w.start) for w in stream]

    assert [windows.place(n) for n in range(len(windows))] == sorted(read)


def test_a_worker_shares_its_rank(mix: Mix) -> None:
    """A stream dealt out to workers gives each window to one of them."""
    windows = mix.windows(20)
    rank = windows.stream(rank=1, world=3)
    shares = [[(w.shard, w.start) for w in rank.share(k, 2)] for k in range(2)]

    assert [(w.shard, w.start) for w in rank] == sorted(shares[0] + shares[1])


def test_a_state_of_another_length_is_refused(mix: Mix) -> None:
    """A state of windows of another length is refused, naming both lengths."""
    with pytest.raises(UsageError) as caught:
        mix.windows(30).stream().load_state_dict(mix.windows(31).stream().state_dict())

    assert ["length: 31 there, 30 here"] == caught.value.details


def test_a_column_once_for_each_token(mix: Mix) -> None:
    """A tag of the spans, and a question about them, are arrays as long as the shard."""
    spans = mix.spans().collect()
    for number, shard in enumerate(mix.shards):
        mine = spans.filter(pl.col("shard") == number)
        scores = mix.per_token(number, "toxicity")
        clean = mix.per_token(number, pl.col("component") == "clean")

        assert shard["n_tokens"] == len(scores) == len(clean)
        for row in mine.iter_rows(named=True):
            place = slice(row["start"], row["start"] + row["n_tokens"])
            assert {row["toxicity"]} == set(scores[place].tolist())
            assert {row["component"] == "clean"} == set(clean[place].tolist())


def test_windows_that_do_not_advance_are_refused(mix: Mix) -> None:
    """An overlap as long as the window is refused."""
    with pytest.raises(UsageError, match="do not advance"):
        mix.windows(8, overlap=8)


def test_windows_travel_to_workers(mix: Mix) -> None:
    """Pickled windows hold no ids, and give the same windows."""
    windows = mix.windows(50)
    first = windows[0].ids.tolist()
    packed = pickle.dumps(windows)

    copy: Windows = pickle.loads(packed)

    assert len(packed) < 40_000
    assert first == copy[0].ids.tolist()


def test_a_short_shard_is_named(folder: Path, tmp_path: Path) -> None:
    """A shard with another number of bytes than the manifest says is refused, not misread."""
    copy = tiny_mix.write(tmp_path / "short", name="short", documents=tiny_mix.HELLO, how="copy")
    (shard,) = (copy / "shards").glob("*.npy")
    shard.write_bytes(shard.read_bytes()[:-2])

    with pytest.raises(IntegrityError, match=r"has 14 bytes, not 16"):
        Mix.open(copy).shard(0)


def test_the_mix_brings_its_tokenizer(mix: Mix) -> None:
    """The tokenizer in the folder decodes the first document."""
    tokenizer = mix.tokenizer()
    end = int(mix.ends(0)[0])

    assert mix.eos_id == tokenizer.eos_id
    assert tokenizer.decode(mix.shard(0)[: end - 1].tolist()) in {
        document.text for document in tiny_mix.some_documents()
    }


def test_without_torch_the_way_out_is_named(mix: Mix, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors are asked for where torch is not installed: the error says what to install."""
    from curate.mix import tensors

    monkeypatch.setattr(tensors, "Dataset", object)
    with pytest.raises(MissingExtraError) as caught:
        mix.windows(8).torch()

    assert "pip install torch" == caught.value.hint


def test_torch_reads_the_same(mix: Mix) -> None:
    """A torch loader gives the windows as int64 tensors, however many workers share them."""
    torch = pytest.importorskip("torch", reason="needs torch, an optional package")
    windows = mix.windows(32)
    expected = sorted(window.ids.tolist() for window in windows)

    for make in (windows.torch, lambda: windows.stream().torch()):
        for n_workers in (0, 2):
            loader = torch.utils.data.DataLoader(make(), batch_size=4, num_workers=n_workers)
            batches = list(loader)
            assert batches[0]["input_ids"].dtype == torch.int64
            assert expected == sorted(row for b in batches for row in b["input_ids"].tolist())
