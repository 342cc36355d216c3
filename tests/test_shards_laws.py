"""Moving ids, growing the tree, and the largest deviation: each against a slow reading."""

import hashlib
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.shards import documents, gather, merkle, observe

BUDGETS = {"clean": 900, "toxic": 300}


@given(
    spans=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=30),
    long=st.booleans(),
)
@settings(max_examples=60)
def test_every_id_is_moved_once(spans: list[tuple[int, int]], long: bool) -> None:
    """Gathered spans are the slices one after the other; moving brings them back."""
    scale = 200 if long else 1
    source = np.arange(60 * scale, dtype=np.uint32)
    firsts = np.array([a for a, _ in spans]) * scale
    lengths = np.array([n for _, n in spans]) * scale
    run = gather.gather(source, firsts, lengths)
    expected = [source[a : a + n] for a, n in zip(firsts, lengths, strict=True)]
    out = np.zeros(60 * scale, dtype=np.uint32)
    gather.move(run, gather.starts_of(lengths), out, firsts, lengths)

    assert np.concatenate(expected).tolist() == run.tolist()
    touched = np.unique(np.concatenate(expected))
    assert touched.tolist() == out[touched].tolist()


@given(n=st.integers(0, 70), cuts=st.lists(st.integers(0, 70), max_size=5))
@settings(max_examples=80)
def test_a_tree_fed_in_lots_is_the_tree_of_the_rfc(n: int, cuts: list[int]) -> None:
    """Level by level in any lots gives the same root as RFC 6962's recursion."""

    def root(leaves: list[bytes]) -> bytes:
        if not leaves:
            return hashlib.sha256(b"").digest()
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        k = 1 << (len(leaves) - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()

    leaves = [bytes([i]) for i in range(n)]
    tree = merkle.Tree()
    edges = [0, *sorted(min(c, n) for c in cuts), n]
    for a, b in pairwise(edges):
        tree.add([hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves[a:b]])

    assert root(leaves).hex() == tree.root()
    assert n == tree.n_leaves


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=60),
    components=st.lists(st.integers(0, 2), min_size=60, max_size=60),
    scale=st.sampled_from([1, 2**27]),
    cut=st.integers(0, 60),
)
@settings(max_examples=80)
def test_the_largest_deviation_is_exact(
    lengths: list[int], components: list[int], scale: int, cut: int
) -> None:
    """The search in floating point finds what fractions find, also where products pass 2^63."""
    n = np.array(lengths) * scale
    c = np.array(components[: len(lengths)])
    totals = np.bincount(c, weights=n, minlength=3).astype(np.int64)
    seen = observe.Deviation(totals)
    for lot in (slice(0, cut), slice(cut, None)):
        if len(n[lot]):
            seen.add(c[lot], n[lot])
    best, at = Fraction(0), 0
    done = [0, 0, 0]
    for span, component in zip(n.tolist(), c.tolist(), strict=True):
        done[component] += span
        for i in range(3):
            value = abs(Fraction(int(totals[i]), int(totals.sum())) * sum(done) - done[i])
            if value > best:
                best, at = value, sum(done)

    assert (best, at) == (seen.value, seen.at)


@given(
    spans=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1)), max_size=30),
    lots=st.integers(1, 9),
    limit=st.integers(1, 40),
)
@settings(max_examples=60)
def test_leaves_do_not_depend_on_how_spans_came(
    spans: list[tuple[int, int, int]],
    lots: int,
    limit: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A leaf per key, in order of keys, over its digests in stream order: in memory or spilled."""
    rows = [
        (bytes([64 * high, *bytes(7), low, *bytes(7)]), bytes([n] * 16), component)
        for n, (high, low, component) in enumerate(spans)
    ]
    digests: dict[bytes, bytes] = {}
    for key, digest, _ in rows:
        digests[key] = digests.get(key, b"") + digest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "RANGE_SPANS", limit)
        found = documents.Documents(tmp_path_factory.mktemp("spill"), len(rows))
        for lot in batched(rows, lots):
            table = pl.DataFrame({"key": [r[0] for r in lot], "digest": [r[1] for r in lot]})
            found.add(documents.rows_of(np.array([r[2] for r in lot]), table))
    counted = [documents.count(part, 2) for part in found.ranges()]

    expected = [
        hashlib.sha256(b"\0" + key + hashlib.sha256(digests[key]).digest()).digest()
        for key in sorted(digests)
    ]
    assert expected == [leaf for leaves, _ in counted for leaf in leaves]
    for component in (0, 1):
        own = {key for key, _, number in rows if number == component}
        assert len(own) == sum(n_documents[component] for _, n_documents in counted)


def batched(rows: list[Any], n: int) -> list[list[Any]]:
    """Lots of n rows, the last may be shorter."""
    return [rows[at : at + n] for at in range(0, len(rows), n)]
