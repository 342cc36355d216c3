"""
Turn a cheap score on everything and a dear one on a sample into a calibrated score on everything.

A tagger with `calibrates = "toxicity"` scores a sample of each source: even over ten bands of the
cheap score, drawn by the documents' keys, so the same whatever the workers or files. Its tags part
has its own columns, null outside the sample, and `toxicity.calibrated` for every document.

    <out>/<part>.parquet, <part>.receipt.json   as every tagger's
    <out>/sample.parquet                        part, row, key, group, weight, cheap, dear, n_bytes
    <out>/calibration.json                      the map, its band, and what it rests on
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import document, files, store
from curate.errors import InputError
from curate.taggers import calibrate, work

if TYPE_CHECKING:
    import polars as pl

SAMPLE = "sample.parquet"
CALIBRATION = "calibration.json"


@dataclass(frozen=True)
class TaggedPart:
    """A documents part and the tags part of the cheap tagger, in the same order."""

    name: str
    documents: Path
    cheap: Path


def columns(declaration: Mapping[str, Any]) -> dict[str, str]:
    """Column name → polars type of a sampled tagger: its own, then the calibrated cheap score."""
    return {**work.columns(declaration), f"{declaration['calibrates']}.calibrated": "Float32"}


def calibrated(
    parts: Sequence[TaggedPart],
    declaration: Mapping[str, Any],
    *,
    out: Path,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """
    Sample, tag and calibrate one source; write a tags part for each of its parts, receipts last.

    `progress` is told how many documents of the sample were just tagged. Returns the facts of
    `calibration.json`. A sample that is already there is not tagged again.
    """
    import polars as pl

    if (out / SAMPLE).is_file():
        sample = pl.read_parquet(out / SAMPLE)
    else:
        sample = _tagged(parts, drawn(parts, declaration), declaration, progress)
        with files.replacing(out / SAMPLE) as temporary:
            sample.write_parquet(temporary, compression="zstd", compression_level=3)
    known = sample.to_dict(as_series=True)
    fitted = calibrate.fit(
        known["cheap"].to_numpy(),
        known["dear"].to_numpy(),
        weights=known["weight"].to_numpy(),
        groups=known["group"].to_numpy(),
        seed=declaration["seed"],
    )
    facts = {
        "cheap": declaration["calibrates"],
        "dear": declaration["name"],
        "n_sampled": sample.height,
        "error_before": calibrate.decimal(_error(sample, sample["cheap"].to_numpy())),
        "error_after": calibrate.decimal(_error(sample, fitted.apply(sample["cheap"].to_numpy()))),
        "map": fitted.as_json(),
    }
    files.write_bytes(out / CALIBRATION, json.dumps(facts, indent=1, sort_keys=True).encode())
    for part in parts:
        _write(part, sample.filter(part=part.name), fitted, declaration, out)
    return facts


def drawn(parts: Sequence[TaggedPart], declaration: Mapping[str, Any]) -> "pl.DataFrame":
    """The sample of a source: `part`, `row`, `key`, `group`, `weight`, `cheap`, `n_bytes`."""
    import polars as pl

    cheap = declaration["calibrates"]
    tables = []
    for part in parts:
        documents = pl.read_parquet(part.documents, columns=["key", "group", "n_bytes"])
        scores = pl.read_parquet(part.cheap, columns=[cheap])
        if documents.height != scores.height:
            raise InputError(f"{part.name}: tags and documents have not the same rows")
        tables.append(
            documents.with_row_index("row").with_columns(
                pl.lit(part.name).alias("part"), scores[cheap].alias("cheap")
            )
        )
    everything = pl.concat(tables).filter(pl.col("cheap").is_not_null())
    if everything.height == 0:
        raise InputError(f"no document has a score {cheap!r} to calibrate")
    rows, weights = calibrate.sampled(
        everything["cheap"].to_numpy(),
        calibrate.numbers(document.key_words(everything["key"]), declaration["seed"]),
        declaration["sample"],
    )
    chosen = everything[rows].with_columns(pl.Series("weight", weights))
    return chosen.select("part", "row", "key", "group", "weight", "cheap", "n_bytes")


def _tagged(
    parts: Sequence[TaggedPart],
    sample: "pl.DataFrame",
    declaration: Mapping[str, Any],
    progress: Callable[[int], None],
) -> "pl.DataFrame":
    """`sample` with the dear tagger's columns, its main one also as `dear`."""
    import polars as pl

    tagger = work.opened(declaration)
    expected = work.columns(declaration)
    made = []
    for part in parts:
        chosen = sample.filter(part=part.name)
        if not chosen.height:
            continue
        texts = (
            pl.scan_parquet(part.documents, glob=False)
            .select("text", "n_bytes")
            .with_row_index("row")
            .join(chosen.lazy().select("row"), on="row", how="semi", maintain_order="left")
            .collect()
        )
        for start, batch in _batches(texts, tagger.batch_bytes):
            tags = tagger.tag(batch)
            work.checked(tags, expected, batch.height, part.name)
            made.append(chosen.slice(start, batch.height).hstack(tags))
            progress(batch.height)
    table = pl.concat(made)
    return table.with_columns(pl.col(declaration["name"]).alias("dear"))


def _batches(texts: "pl.DataFrame", batch_bytes: int) -> "Iterator[tuple[int, pl.DataFrame]]":
    import polars as pl

    block = (texts["n_bytes"].cast(pl.Int64).cum_sum() - 1) // batch_bytes
    start = 0
    for _, batch in texts.group_by(block, maintain_order=True):
        yield start, batch
        start += batch.height


def _error(sample: "pl.DataFrame", scores: Any) -> float:
    return calibrate.expected_error(scores, sample["dear"].to_numpy(), sample["weight"].to_numpy())


def _write(
    part: TaggedPart,
    sample: "pl.DataFrame",
    fitted: calibrate.Calibration,
    declaration: Mapping[str, Any],
    out: Path,
) -> None:
    import polars as pl

    cheap = pl.read_parquet(part.cheap, columns=[declaration["calibrates"]]).to_series()
    own = list(work.columns(declaration))
    table = (
        pl.DataFrame({"row": pl.int_range(len(cheap), dtype=pl.UInt32, eager=True)})
        .join(sample.select("row", *own), on="row", how="left", maintain_order="left")
        .select(own)
    )
    mapped = pl.Series(fitted.apply(cheap.fill_null(0).to_numpy()), dtype=pl.Float32)
    name = f"{declaration['calibrates']}.calibrated"
    shown = pl.DataFrame({name: mapped}).select(
        pl.when(cheap.is_not_null()).then(pl.col(name)).alias(name)
    )
    facts = work.write_part(table.hstack(shown), columns(declaration), declaration, out, part.name)
    store.write_receipt(out, part.name, facts)
