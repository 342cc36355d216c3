"""Every export, token for token, in the reader it is for."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from truth import NAMES, SEQUENCE, Truth

MIXES = pytest.mark.parametrize("name", NAMES)


@MIXES
def test_litdata_reads_every_block(name: str) -> None:
    """TokensLoader gives the blocks of each chunk; litgpt asks for one token more."""
    from litdata.streaming import StreamingDataset, TokensLoader

    truth = Truth(name)
    dataset = StreamingDataset(
        input_dir=str(truth.folder / "litdata"),
        item_loader=TokensLoader(block_size=SEQUENCE + 1),
        shuffle=False,
        drop_last=False,
    )
    found = [dataset[n].tolist() for n in range(len(dataset))]

    assert truth.windows(SEQUENCE + 1) == found


@MIXES
def test_datasets_reads_parquet_and_arrow(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`load_dataset("parquet")` as printed for TRL, and `Dataset.from_file`."""
    from datasets import Dataset, concatenate_datasets, load_dataset

    truth = Truth(name)
    told = truth.python("trl")["dataset"]
    arrow = concatenate_datasets(
        [Dataset.from_file(str(p)) for p in sorted((truth.folder / "arrow").glob("*.arrow"))]
    )
    plain = load_dataset(
        "parquet",
        data_files=str(truth.folder / "parquet" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path_factory.mktemp("cache")),
    )

    assert truth.documents == told["input_ids"][:] == arrow["input_ids"][:]
    assert ["id", "component", "input_ids"] == plain.column_names
    assert "int32" == plain.features["input_ids"].feature.dtype


@MIXES
def test_text_is_loaded_as_printed(name: str, tmp_path: Path) -> None:
    """By the lines for torchtitan and torchtune, whose loader is that of HF datasets."""
    import yaml
    from datasets import load_dataset

    truth = Truth(name)
    begin = 0 if truth.preset["bos"] is None else 1
    expected = [" ".join(f"t{n}" for n in ids[begin:-1]) for ids in truth.documents]
    names = {"DATASETS": {}, "DatasetConfig": SimpleNamespace, "load_dataset": load_dataset}
    exec(truth.told("torchtitan"), names)
    [titan] = names["DATASETS"].values()
    tune = yaml.safe_load(truth.told("torchtune"))["dataset"]
    files, split = tune["data_files"], tune["split"]
    rows = load_dataset(tune["source"], data_files=files, split=split, cache_dir=str(tmp_path))

    assert expected == [titan.sample_processor(row) for row in titan.loader(titan.path)]
    assert expected == rows[tune["column"]][:]


@MIXES
def test_webdataset_reads_every_document(name: str) -> None:
    """The printed program."""
    truth = Truth(name)
    found = [ids.tolist() for (ids,) in truth.python("webdataset")["dataset"]]

    assert truth.documents == found


@MIXES
def test_grain_reads_every_record(name: str) -> None:
    """The printed program over ArrayRecord files."""
    truth = Truth(name)
    dataset = truth.python("grain")["dataset"]

    assert truth.documents == [np.asarray(dataset[n]).tolist() for n in range(len(dataset))]


@MIXES
def test_array_record_counts_every_record(name: str) -> None:
    """ArrayRecord's own reader sees as many records as the shard has documents."""
    from array_record.python.array_record_module import ArrayRecordReader

    truth = Truth(name)
    files = sorted((truth.folder / "arrayrecord").glob("*.array_record"))

    assert list(map(len, truth.shards)) == [ArrayRecordReader(str(p)).num_records() for p in files]


@MIXES
def test_llmc_layout(name: str) -> None:
    """As llm.c's dataloader and modded-nanogpt read it: header, size, delimiter first."""
    truth = Truth(name)
    if truth.preset["dtype"] != "uint16":
        pytest.skip("llm.c reads uint16 only")
    files = sorted((truth.folder / "llmc").glob("train_*.bin"))
    for path, stream in zip(files, truth.streams, strict=True):
        head = np.fromfile(path, dtype=np.int32, count=256)
        assert (20240520, 1) == tuple(head[:2])
        assert 256 * 4 + int(head[2]) * 2 == path.stat().st_size
        ids = np.fromfile(path, dtype=np.uint16, offset=1024).tolist()
        assert [truth.preset["eos"], *stream[:-1]] == ids
