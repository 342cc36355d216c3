"""Calibration, thresholds, estimates and metrics: by hand, by brute force, and by simulation."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curate.errors import InfeasibleError, InputError, IntegrityError, RecipeError
from curate.fingerprint import canonical
from curate.taggers import calibrate, estimates, metrics, thresholds

Z = 1.959964  # of a 95 % interval

pairs = st.integers(2, 12).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, n, elements=st.sampled_from(np.linspace(0, 1, 6, dtype=np.float32))),
        arrays(np.int64, n, elements=st.integers(0, 1)),
    )
)


def test_isotonic_by_hand() -> None:
    """Two neighbours in the wrong order become their weighted mean; the rest stays."""
    x, y = calibrate.isotonic([1, 2, 3, 4], [0.0, 0.75, 0.25, 1.0], [1, 1, 3, 1])

    assert [1, 2, 3, 4] == x.tolist()
    assert [0.0, 0.375, 0.375, 1.0] == y.tolist()


@given(pairs)
def test_isotonic_is_the_best_monotone_map(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """
    The fit obeys the conditions of the optimum: residuals up to each point sum to at least 0, and
    to 0 at the end of each pool; then no non-decreasing map has smaller squares.
    """
    cheap, dear = drawn
    x, y = calibrate.isotonic(cheap, dear)
    places, inverse = np.unique(cheap, return_inverse=True)
    fitted = np.interp(places, x, y)
    residual = np.bincount(inverse, weights=dear - fitted[inverse])
    running = np.cumsum(residual)
    ends = np.append(np.diff(fitted) > 1e-12, True)

    assert (np.diff(y) >= 0).all()
    assert (running >= -1e-9).all()
    assert np.abs(running[ends]).max() < 1e-9


def test_equal_cheap_scores_get_one_value() -> None:
    """Points with the same cheap score are one point with their mean."""
    x, y = calibrate.isotonic([0.5, 0.5, 0.5], [0, 1, 1])

    assert [0.5] == x.tolist()
    assert [pytest.approx(2 / 3)] == y.tolist()


def test_calibration_finds_a_known_link() -> None:
    """Where P(toxic) = score², the error is large before and under 0.02 after, on other pairs."""
    draw = np.random.default_rng(3)
    cheap = draw.random(40_000).astype(np.float32)
    toxic = draw.random(40_000) < cheap.astype(np.float64) ** 2
    fitted = calibrate.fit(cheap[:20_000], toxic[:20_000], n_resamples=0)
    before = calibrate.expected_error(cheap[20_000:], toxic[20_000:])
    after = calibrate.expected_error(fitted.apply(cheap[20_000:]), toxic[20_000:])

    assert 0.1 < before
    assert after < 0.02


def test_the_band_covers_the_link() -> None:
    """Of the points of the true link between the ends, at least 90 % lie in the 95 % band."""
    draw = np.random.default_rng(5)
    grid = np.linspace(0, 1, calibrate.GRID)
    covered = []
    for seed in range(20):
        cheap = draw.random(1_000).astype(np.float32)
        toxic = draw.random(1_000) < cheap.astype(np.float64) ** 2
        fitted = calibrate.fit(cheap, toxic, seed=seed, n_resamples=100)
        inside = (fitted.low <= grid**2) & (grid**2 <= fitted.high)
        covered.append(inside[10:90].mean())

    assert 0.90 < np.mean(covered)


def test_a_calibration_survives_being_written() -> None:
    """Its JSON has no float, goes through canonical JSON, and gives the same scores."""
    draw = np.random.default_rng(1)
    cheap = draw.random(50).astype(np.float32)
    fitted = calibrate.fit(cheap, draw.random(50), n_resamples=5)
    made = fitted.as_json()
    again = calibrate.Calibration.from_json(made)

    assert canonical(made)
    assert np.allclose(fitted.apply(cheap), again.apply(cheap), atol=1e-7)
    with pytest.raises(IntegrityError, match="not a calibration"):
        calibrate.Calibration.from_json({})
    with pytest.raises(IntegrityError, match="y decreases"):
        calibrate.Calibration.from_json({**made, "x": ["0", "1"], "y": ["1", "0"]})


@pytest.mark.parametrize("dear", [[], [1.5], [float("nan")]])
def test_calibration_needs_probabilities(dear: list[float]) -> None:
    """No pairs, or numbers that are no probabilities, are refused."""
    with pytest.raises(InputError, match="nothing to calibrate"):
        calibrate.fit(np.zeros(len(dear), np.float32), dear)


def test_a_sample_is_even_over_the_bands_and_says_what_it_stands_for() -> None:
    """Of 90 low and 10 high scores, 20 sampled are 10 and 10; their weights are 9 and 1."""
    scores = np.array([0.05] * 90 + [0.95] * 10, np.float32)
    drawn = np.random.default_rng(2).integers(0, 2**63, 100).astype(np.uint64)
    rows, weights = calibrate.sampled(scores, drawn, 20)

    assert 10 == (rows < 90).sum()
    assert [9.0] * 10 + [1.0] * 10 == weights.tolist()
    assert 100 == weights.sum()


@given(st.integers(1, 60), st.integers(1, 80), st.integers(0, 5))
def test_a_sample_stands_for_everything(n: int, size: int, seed: int) -> None:
    """Weights sum to the population, rows are distinct, and the order of rows does not matter."""
    draw = np.random.default_rng(seed)
    scores = draw.random(n).astype(np.float32)
    drawn = draw.permutation(n).astype(np.uint64)
    rows, weights = calibrate.sampled(scores, drawn, size)
    order = draw.permutation(n)
    again, _ = calibrate.sampled(scores[order], drawn[order], size)
    bands = len(set(np.minimum((scores * 10).astype(int), 9).tolist()))

    assert len(set(rows.tolist())) == len(rows)
    assert min(n, size) == len(rows)
    if size >= bands:
        assert n == round(weights.sum())
    assert set(drawn[rows].tolist()) == set(drawn[order][again].tolist())


def test_draws_are_the_rank_of_the_format_page_under_another_name() -> None:
    """The mixing of docs/format.md §4 with Python's whole numbers, from `curate-sample-1`."""
    import hashlib

    mask = (1 << 64) - 1

    def mix(x: int) -> int:
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return x ^ (x >> 31)

    start = int.from_bytes(hashlib.sha256(b"curate-sample-1\x005").digest()[:8], "little")
    words = np.array([[1, 2], [2**64 - 1, 7]], np.uint64)
    wanted = [mix(mix(int(a) ^ start) ^ int(b)) for a, b in words]

    assert wanted == calibrate.numbers(words, 5).tolist()


SCORES = np.array([0.9, 0.8, 0.8, 0.3, 0.1], np.float32)


@pytest.mark.parametrize(
    ("rule", "threshold"),
    [
        ("top 20 % of documents", "0.9"),
        ("top 59 % of documents", "0.9"),  # the two at 0.8 are taken together or not at all
        ("top 60 % of documents", "0.8"),
        ("top 3/5 of documents", "0.8"),
        ("top 10 % of tokens", "0.9"),
        ("top 0.9 of tokens", "0.3"),
        ("precision >= 1", "0.9"),
        ("precision >= 2/3", "0.3"),
        ("precision >= 0.8", "0.9"),
        ("recall >= 0.5", "0.8"),
        ("recall >= 100 %", "0.3"),
    ],
)
def test_rules_by_hand(rule: str, threshold: str) -> None:
    """Five documents, three of them toxic, of 10, 10, 10, 60 and 10 tokens."""
    found = thresholds.resolve_threshold(
        rule, SCORES, truth=[1, 1, 0, 1, 0], tokens=[10, 10, 10, 60, 10]
    )

    assert threshold == found.threshold
    assert np.float32(found.threshold) in SCORES
    assert canonical(found.as_json())


@pytest.mark.parametrize(
    "rule", ["top 5 %", "precision > 0.9", "top 0 of tokens", "recall >= 2", ""]
)
def test_a_rule_that_is_none_shows_what_rules_there_are(rule: str) -> None:
    """The message holds a rule of each kind."""
    with pytest.raises(RecipeError, match="not a rule") as caught:
        thresholds.parse_rule(rule)

    assert "top 5 % of tokens" in caught.value.hint


def test_rules_that_cannot_hold_are_infeasible() -> None:
    """No score gives it, or the truth is not known."""
    with pytest.raises(InfeasibleError):
        thresholds.resolve_threshold("top 10 % of documents", SCORES)
    with pytest.raises(InfeasibleError):
        thresholds.resolve_threshold("precision >= 0.9", SCORES, truth=[0, 1, 1, 1, 1])
    with pytest.raises(RecipeError, match="label is known"):
        thresholds.resolve_threshold("recall >= 0.9", SCORES)


@given(pairs, st.integers(1, 99))
def test_top_rules_are_the_lowest_threshold_that_holds(
    drawn: tuple[np.ndarray, np.ndarray], percent: int
) -> None:
    """Every score is tried: the answer keeps the rule, and no lower score does."""
    scores, tokens = drawn[0], drawn[1] + 1
    total = int(tokens.sum())
    good = [
        s for s in set(scores.tolist()) if 100 * int(tokens[scores >= s].sum()) <= percent * total
    ]
    rule = f"top {percent} % of tokens"
    if not good:
        with pytest.raises(InfeasibleError):
            thresholds.resolve_threshold(rule, scores, tokens=tokens)
        return

    assert min(good) == float(
        np.float32(thresholds.resolve_threshold(rule, scores, tokens=tokens).threshold)
    )


def test_rogan_gladen_undoes_an_imperfect_classifier() -> None:
    """Of 30 % toxic, sensitivity 0.8 and specificity 0.9 flag 31 %; from 31 % comes 30 % again."""
    apparent = 0.3 * 0.8 + 0.7 * 0.1
    found = estimates.rogan_gladen(
        np.array([apparent, 0.05]), np.array([0.8, 0.8]), np.array([0.9] * 2)
    )

    assert [pytest.approx(0.3), 0.0] == found.tolist()
    assert [0.4] == estimates.rogan_gladen(
        np.array([0.4]), np.array([0.5]), np.array([0.5])
    ).tolist()


def test_shares_of_tokens_weigh_documents() -> None:
    """One flagged document of 90 tokens and one clean of 10 are 50 % and 90 %."""
    by_documents = estimates.toxic_share([1, 0], n_resamples=0)
    by_tokens = estimates.toxic_share([1, 0], unit="tokens", tokens=[90, 10], n_resamples=0)

    assert ("0.500000", "0.900000") == (by_documents.share, by_tokens.share)
    assert canonical(by_tokens.as_json())
    with pytest.raises(InputError):
        estimates.toxic_share([])
    with pytest.raises(InputError):
        estimates.toxic_share([1], unit="tokens")


@pytest.mark.parametrize(("truth", "lacking"), [(0, "toxic"), (1, "clean")])
def test_a_sample_of_one_class_corrects_nothing(truth: int, lacking: str) -> None:
    """Without a toxic document nothing is known of sensitivity: the share is what was flagged."""
    known = estimates.Known([truth, truth], [0, 1])
    found = estimates.toxic_share([1, 0, 0, 0], known=known)

    assert ("0.250000", 2, "") == (found.share, found.n_known, found.sensitivity)
    assert found.method.endswith(f"not corrected: no document with a known label is {lacking}")


def test_intervals_widen_when_documents_come_in_threads() -> None:
    """Ten threads of a hundred equal posts are ten documents, not a thousand."""
    flags = np.repeat(np.arange(10) % 2, 100)
    alone = estimates.toxic_share(flags)
    together = estimates.toxic_share(flags, groups=np.repeat(np.arange(10), 100))

    assert float(alone.high) - float(alone.low) < 0.1
    assert 0.4 < float(together.high) - float(together.low)
    assert 10 == together.n_groups


def test_many_groups_are_thrown_together_without_changing_the_spread() -> None:
    """With more groups than are resampled, the interval is that of theory within a tenth."""
    n = 3 * estimates.MOST_GROUPS
    flags = np.random.default_rng(4).random(n) < 0.3
    found = estimates.toxic_share(flags)
    theory = 2 * Z * float(np.sqrt(0.3 * 0.7 / n))

    assert float(found.high) - float(found.low) == pytest.approx(theory, rel=0.1)


@pytest.mark.parametrize("selected", [False, True])
def test_intervals_cover_the_truth(scale: int, selected: bool) -> None:
    """
    In 500 simulated samples of threads with a known share, 93 to 97 % of the intervals hold it;
    also of a component that was chosen by the very score that flags it.
    """
    draw = np.random.default_rng(11)
    share, sensitivity, specificity, n_known = 0.3, 0.8, 0.9, 600
    hits, n_runs = 0, 500 * scale
    for run in range(n_runs):
        prevalence = draw.beta(share * 6, (1 - share) * 6, size=120)
        truth = draw.random((120, 8)) < prevalence[:, None]
        flags = draw.random(truth.shape) < np.where(truth, sensitivity, 1 - specificity)
        groups = np.repeat(np.arange(120), 8)
        known_truth = draw.random(n_known) < share
        known_flags = draw.random(n_known) < np.where(known_truth, sensitivity, 1 - specificity)
        if selected:
            kept = ~flags.ravel()
            known = estimates.Known(known_truth[~known_flags], known_flags[~known_flags])
            found = estimates.toxic_share(
                flags.ravel()[kept],
                groups=groups[kept],
                known=known,
                selected=True,
                seed=run,
                n_resamples=300,
            )
            missed = share * (1 - sensitivity)
            wanted = missed / (missed + (1 - share) * specificity)
        else:
            known = estimates.Known(known_truth, known_flags)
            found = estimates.toxic_share(
                flags.ravel(), groups=groups, known=known, seed=run, n_resamples=300
            )
            wanted = share
        hits += float(found.low) <= wanted <= float(found.high)

    assert 0.93 <= hits / n_runs <= 0.97


def test_a_mix_is_its_components_by_their_amounts() -> None:
    """90 tokens of 0 % and 10 of 50 % are 5 %; half-widths add in squares."""
    clean = estimates.toxic_share([0, 0, 0, 0])
    toxic = estimates.toxic_share([1, 0, 1, 0])
    found = estimates.mixed([clean, toxic], [90, 10], unit="tokens")

    assert "0.050000" == found["share"]
    assert pytest.approx(float(Fraction(toxic.high) - Fraction(toxic.share)) / 10, abs=1e-6) == (
        float(found["high"]) - 0.05
    )


def test_the_table_of_source_and_label_adds_up() -> None:
    """Flagged and not flagged are the amount; toxic and not toxic are the amount."""
    shares = {
        "c4": estimates.toxic_share([0, 0, 0, 1], n_resamples=0),
        "pol": estimates.toxic_share([1, 0], n_resamples=0),
    }
    made = estimates.table({"c4": 25, "pol": 40}, {"c4": 100, "pol": 80}, shares)

    assert [
        {"source": "c4", "flagged": 25, "not_flagged": 75, "toxic": "25", "not_toxic": "75"},
        {"source": "pol", "flagged": 40, "not_flagged": 40, "toxic": "40", "not_toxic": "40"},
    ] == made


@given(pairs)
def test_auroc_is_the_share_of_pairs_in_order(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """Each toxic row against each clean one; ties count half."""
    scores, truth = drawn
    toxic, clean = scores[truth == 1], scores[truth == 0]
    if not len(toxic) or not len(clean):
        assert np.isnan(metrics.auroc(truth, scores))
        return
    wins = (toxic[:, None] > clean).sum() + 0.5 * (toxic[:, None] == clean).sum()

    assert pytest.approx(wins / (len(toxic) * len(clean))) == metrics.auroc(truth, scores)


@given(pairs)
def test_average_precision_by_brute_force(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """Precision at each threshold, weighted by the recall it adds."""
    scores, truth = drawn
    if truth.sum() == 0:
        assert np.isnan(metrics.average_precision(truth, scores))
        return
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        taken = scores >= np.float32(threshold)
        recall = truth[taken].sum() / truth.sum()
        total += (recall - before) * truth[taken].mean()
        before = recall

    assert pytest.approx(total) == metrics.average_precision(truth, scores)


def test_a_report_leaves_out_what_is_undefined() -> None:
    """Of clean rows alone only false positives can be told."""
    made = metrics.report([0, 0], [0.1, 0.9], thresholds=("0.5",), seed=1, n_resamples=10)

    assert {"n": 2, "n_toxic": 0, "at": {"0.5": made["at"]["0.5"]}} == made
    assert ["false_positive_rate"] == list(made["at"]["0.5"])
