"""Long texts are cut where no id changes, and take bounded memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tokenizer import Tokenizer, load
from curate.tokens import engines
from tests.tokens_world import END, TEXTS, documents


@pytest.fixture
def demo() -> Tokenizer:
    """The tokenizer that ships."""
    return load("builtin:demo", eos=END)


@pytest.mark.parametrize("name", ["allenai_gpt-neox-olmo-dolma-v1_5", "allenai_dolma2"])
def test_cutting_a_long_text_changes_no_id(shared: Path, name: str) -> None:
    """Where the reference may cut a text, the ids of the pieces are the ids of the text."""
    tokenizer = load(str(shared / f"tokenizers/{name}.json"), eos=END)
    encoder = tokenizer.encoder()

    @given(texts=TEXTS, n=st.integers(1, 20))
    def same(texts: list[str], n: int) -> None:
        text = " and ".join(texts)
        pieces = engines.cut_text(text, n)
        found = encoder.encode_batch([text, *pieces], add_special_tokens=False)
        assert text == "".join(pieces)
        assert found[0].ids == [i for piece in found[1:] for i in piece.ids]

    assert engines.may_cut(tokenizer.json)
    same()


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first",
                           "split": False}},
        {"pre_tokenizer": None},
        {"added_tokens": [{"id": 256, "content": "a b", "single_word": False, "lstrip": False,
                           "rstrip": False, "normalized": False, "special": True}]},
        {"added_tokens": [{"id": 256, "content": "x", "single_word": False, "lstrip": True,
                           "rstrip": False, "normalized": False, "special": True}]},
    ],
)  # fmt: skip
def test_what_is_not_known_is_not_cut(demo: Tokenizer, change: dict[str, Any]) -> None:
    """Another normaliser, another splitting, or a token across the cut: the text stays whole."""
    assert engines.may_cut(demo.json)
    assert not engines.may_cut(json.dumps({**json.loads(demo.json), **change}).encode())


MEASURE = """
import sys
from pathlib import Path
from curate.tokenizer import load
from curate.tokens import encode_part
folder, engine = Path(sys.argv[1]), sys.argv[2]
tokenizer = load("builtin:demo", eos="<|endoftext|>")
encode_part(folder / "documents.parquet", tokenizer, max_document_tokens=None, out=folder, part="p",
            engine=engine)
lines = Path("/proc/self/status").read_text().splitlines()  # rusage would count the parent's
print(next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize(("engine", "n_megabytes"), [("fastokens", 10), ("tokenizers", 10)])
def test_a_book_of_ten_megabytes_fits(tmp_path: Path, engine: str, n_megabytes: int) -> None:
    """One document of 10 MB takes less than 1,000 MiB with either engine."""
    line = "It was the best of lines, it was the worst of lines; line {} of them.\n"
    book = "".join(line.format(n) for n in range(n_megabytes * 1_000_000 // 72))
    documents(tmp_path, [book])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), engine],
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(done.stdout) < 1_000
    ids = np.fromfile(tmp_path / "p.ids", "<u2")
    assert book == load("builtin:demo", eos=END).decode(ids[:-1].tolist())
