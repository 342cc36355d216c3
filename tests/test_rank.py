"""The rank of docs/format.md §4, computed a second way in plain Python integers."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.document import key_words
from curate.mixing.rank import HOLDOUT, in_order, ranks, salt
from tests.mixing_oracle import mix
from tests.mixing_oracle import rank as slow_rank

VECTORS = [
    ("00000000000000000000000000000000", 0, 0, "496361110468a8be"),
    ("000102030405060708090a0b0c0d0e0f", 0, 0, "340c77a9960e1511"),
    ("000102030405060708090a0b0c0d0e0f", 7, 0, "2954e5b886b1fc3c"),
    ("000102030405060708090a0b0c0d0e0f", 7, 1, "052383ad59d7a791"),
    ("ffffffffffffffffffffffffffffffff", 2**53 - 1, 2**32 - 1, "c68414a55b11f3dc"),
]
"""Key, seed, epoch, rank: what another implementation must give."""

keys = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=20)
seeds = st.integers(0, 2**53 - 1)


def fast(found: list[bytes], seed: int, epoch: int) -> list[int]:
    """The ranks that numpy computes."""
    return [int(r) for r in ranks(key_words(pl.Series(found, dtype=pl.Binary)), seed, epoch)]


@pytest.mark.parametrize(("key", "seed", "epoch", "expected"), VECTORS)
def test_vectors(key: str, seed: int, epoch: int, expected: str) -> None:
    """The published vectors hold for both implementations."""
    assert expected == f"{fast([bytes.fromhex(key)], seed, epoch)[0]:016x}"
    assert expected == f"{slow_rank(bytes.fromhex(key), seed, epoch):016x}"


def test_finaliser_is_splitmix64() -> None:
    """The mixer gives the first number of splitmix64 from state 0, as its authors publish it."""
    assert 0xE220A8397B1DCDAF == mix(0x9E3779B97F4A7C15)


def test_salt_reads_the_digest_little_endian() -> None:
    """sha256("curate-rank-1", 0, "7", 0, "0") begins with a436dbc9f5b152b3 (sha256sum)."""
    assert int.from_bytes(bytes.fromhex("a436dbc9f5b152b3"), "little") == salt(7, 0)


@given(keys, seeds, st.integers(0, 1000))
def test_agrees_with_plain_integers(found: list[bytes], seed: int, epoch: int) -> None:
    """Vectorised ranks are those of arithmetic without overflow."""
    assert [slow_rank(k, seed, epoch) for k in found] == fast(found, seed, epoch)


@given(keys, seeds)
def test_order_is_by_rank_then_key_bytes(found: list[bytes], seed: int) -> None:
    """Documents come by (rank, key as bytes)."""
    words = key_words(pl.Series(found, dtype=pl.Binary))
    expected = sorted(found, key=lambda k: (slow_rank(k, seed, 0), k))

    assert expected == [found[i] for i in in_order(ranks(words, seed, 0), words)]


def test_equal_ranks_fall_back_to_key_bytes() -> None:
    """Where ranks are equal the keys decide, first byte first."""
    words = np.array([[1, 0], [256, 0], [2, 0]], dtype=np.uint64)

    # As bytes: 01 00…, 00 01…, 02 00…
    assert [1, 0, 2] == in_order(np.zeros(3, np.uint64), words).tolist()


def test_holdout_has_an_order_of_its_own() -> None:
    """The same key, seed and epoch rank otherwise for the hold-out."""
    words = np.array([[1, 2]], dtype=np.uint64)

    assert ranks(words, 7, 0)[0] != ranks(words, 7, 0, HOLDOUT)[0]


def test_ranks_do_not_change_the_keys() -> None:
    """Ranking leaves its input as it was."""
    words = np.array([[1, 2]], dtype=np.uint64)
    ranks(words, 7, 0)

    assert [[1, 2]] == words.tolist()
