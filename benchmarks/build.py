"""
Turn one C4 dump into mixes, and say how fast beside datatrove's blocks and the dolma toolkit.

    python benchmarks/build.py --tokenizer tokenizer.json --repeat 2
    python benchmarks/build.py --tokenizer tokenizer.json --copies 5 --skip-reference
    python benchmarks/build.py --megabytes 10 --skip dolma

Two jobs, each by every tool, on the same input, with the same tokenizer, in the same run:

    tokens   read, tokenize, shuffle, write
    whole    read, tag with fastText, filter, tokenize, shuffle, write; curate also verifies

Figures are MB of text per core-second: bytes of the documents' text by CPU time of all processes,
start of the interpreter included, one worker. `reference` has Hugging Face `tokenizers` on every
side. With --copies N the dump is N times as long (lines shuffled, each copy other documents).
`ratio` is how many times curate's rate is that of the row.
The peers live in environments of their own under --peers, made at the first run.
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from corpus import ROOT, write_c4
from measure import Cost, run

PEERS = {
    "datatrove": [
        "datatrove[io,processing]==0.10.1", "tokenizers", "regex", "orjson",
        "fasttext-numpy2-wheel",
    ],
    # Newer boto3 and s3fs make the resolver search for hours.
    "dolma": ["dolma==1.2.1", "boto3==1.26.161", "aiobotocore==2.5.2", "s3fs==2023.6.0"],
}  # fmt: skip
MODEL = ROOT / "curate" / "models" / "toxicity.ftz"

RECIPE = """
name    = "bench"
version = "1.0.0"
seed    = 7
[tokenizer]
file = "{tokenizer}"
eos  = "<|endoftext|>"
[source.web]
reader  = "c4"
files   = ["{dump}"]
license = "ODC-BY-1.0"
{tagger}
[component.web]
source = "web"
{where}
epochs = 1
"""
TAGGER = '[tagger.toxicity]\nmodel = "builtin:toxicity"'
WHERE = 'where  = "toxicity < 0.5"'


def environment(name: str, folder: Path) -> Path:
    """The python of a peer's own environment, made if it is not there."""
    python = folder / name / "bin" / "python"
    if not (folder / name / "ready").exists():
        print(f"installing {name} into {folder / name} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder / name], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PEERS[name]], check=True)
        (folder / name / "ready").touch()
    return python


def write_recipe(path: Path, job: str, tokenizer: Path, dumps: str | Path) -> None:
    """The recipe of a job over `dumps`: both ask the same of curate, one with its tagger."""
    told = {"tagger": TAGGER, "where": WHERE} if job == "whole" else {"tagger": "", "where": ""}
    path.write_text(RECIPE.format(tokenizer=tokenizer, dump=dumps, **told))


def curate(job: str, dump: Path, tokenizer: Path, work: Path, *, reference: bool = False) -> Cost:
    """`curate build --workers 1`, for the whole job with `curate verify --read-data`."""
    recipe = work / "bench.toml"
    write_recipe(recipe, job, tokenizer, dump)
    extra = {}
    if reference:  # an installation without the fast engine
        (work / "without").mkdir()
        (work / "without" / "fastokens.py").write_text("raise ImportError")
        extra["PYTHONPATH"] = str(work / "without")
    line = ["-m", "curate", "build", recipe, "--workers", "1", "--store", work / "store",
            "--out", work / "mixes", "--record", work / "manifests"]  # fmt: skip
    cost = run([sys.executable, *line], environment=extra)
    if job == "whole":
        mix = work / "mixes" / "bench" / "1.0.0"
        checked = run([sys.executable, "-m", "curate", "verify", mix, "--read-data"])
        cost = Cost(
            cost.cpu_seconds + checked.cpu_seconds, cost.wall_seconds + checked.wall_seconds
        )
    return cost


def datatrove(python: Path, job: str, dump: Path, tokenizer: Path, work: Path) -> Cost:
    """datatrove's blocks as they come."""
    model = [MODEL] if job == "whole" else []
    script = ROOT / "benchmarks" / "peer_datatrove.py"
    cost = run([python, script, job, dump.parent, tokenizer, work, *model])
    if job == "tokens":
        indexes = (work / "tokens").glob("*.ds.index")
        check_all("datatrove", sum(path.stat().st_size // 8 for path in indexes), dump)
    return cost


def dolma(python: Path, dump: Path, tokenizer: Path, work: Path, eos: int) -> Cost:
    """`dolma tokens`, which shuffles within what it holds in memory."""
    cost = run(
        [
            *(python.parent / "dolma", "tokens", "--documents", dump, "--destination", work),
            *("--tokenizer.name_or_path", tokenizer, "--tokenizer.eos_token_id", str(eos)),
            *("--tokenizer.pad_token_id", str(eos), "--dtype", "uint16", "--processes", "1"),
        ]
    )
    check_all("dolma", sum(map(n_lines, work.glob("*.csv.gz"))), dump)
    return cost


def check_all(tool: str, n_written: int, dump: Path) -> None:
    """A peer that lost documents on the way is not compared with."""
    if n_written != n_lines(dump):
        raise SystemExit(f"{tool} wrote {n_written:,} of {n_lines(dump):,} documents")


def n_lines(path: Path) -> int:
    """Lines of a gzip file."""
    with gzip.open(path) as file:
        return sum(1 for _ in file)


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument(
        "--tokenizer", type=Path, default=ROOT / "curate/models/demo-tokenizer.json"
    )
    parser.add_argument("--copies", type=int, default=1, help="of the texts, lines shuffled")
    parser.add_argument("--megabytes", type=int, help="of text; default all there is")
    parser.add_argument("--peers", type=Path, default=ROOT / "build" / "peers")
    parser.add_argument("--skip", action="append", default=[], help="a peer to leave out")
    parser.add_argument("--skip-reference", action="store_true", help="tokenizers' own engine")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; the best counts")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from curate.tokenizer import load

    tokenizer = options.tokenizer.resolve()
    eos = load(str(tokenizer), eos="<|endoftext|>").eos_id
    pythons = {n: environment(n, options.peers) for n in PEERS if n not in options.skip}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input").mkdir()
        dump = folder / "input" / "c4-train.00000-of-00001.json.gz"
        limit = None if options.megabytes is None else options.megabytes * 1_000_000
        n_bytes = write_c4(dump, options.shared, options.copies, limit)
        print(f"{n_bytes:,} bytes of text, {dump.stat().st_size:,} compressed; {tokenizer.name}")
        print(f"{'job':<8}{'tool':<22}{'CPU s':>8}{'wall s':>8}", end="")
        print(f"{'MB/core-s':>11}{'ratio':>8}")

        def best(measured: Callable[[Path], Cost]) -> Cost:
            costs = []
            for _ in range(options.repeat):
                work = folder / "work"
                work.mkdir()
                costs.append(measured(work))
                shutil.rmtree(work)
                os.sync()
            return min(costs, key=lambda cost: cost.cpu_seconds)

        for job in ("tokens", "whole"):
            base = 0.0

            def show(tool: str, cost: Cost, job: str = job) -> None:
                nonlocal base
                rate = n_bytes / 1e6 / cost.cpu_seconds
                base = base or rate
                print(
                    f"{job:<8}{tool:<22}{cost.cpu_seconds:>8.1f}{cost.wall_seconds:>8.1f}"
                    f"{rate:>11.1f}{base / rate:>7.1f}x",
                    flush=True,
                )

            for reference in (False,) if options.skip_reference else (False, True):
                cost = best(
                    lambda work, job=job, reference=reference: curate(
                        job, dump, tokenizer, work, reference=reference
                    )
                )
                show("curate, reference" if reference else "curate", cost)
            if "datatrove" in pythons:
                cost = best(
                    lambda work, job=job: datatrove(
                        pythons["datatrove"], job, dump, tokenizer, work
                    )
                )
                show("datatrove blocks", cost)
            if "dolma" in pythons and job == "tokens":
                cost = best(lambda work: dolma(pythons["dolma"], dump, tokenizer, work, eos))
                show("dolma tokens", cost)


if __name__ == "__main__":
    main()
