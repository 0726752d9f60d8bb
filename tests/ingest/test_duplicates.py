"""Signatures estimate how much of two texts is the same, and bands find the pairs worth comparing."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.duplicates import METHOD, PLACES, bands, candidate_probability, rows, shingles, signature, similarity

HANDBOOK = Path(__file__).parents[2] / "../shared/data/handbooks/18F/pages"
PARENTAL = "Parental leave is twenty weeks. Ask your manager at least two months before it begins."


def exact(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def pair(similarity: float, seed: int) -> tuple[str, str]:
    """Two texts of 300 words, the second with a stretch of other words, so that their Jaccard similarity is near."""
    words = [f"w{seed}x{number}" for number in range(300)]
    kept = round(2 * 300 * similarity / (1 + similarity))
    return " ".join(words), " ".join(words[:kept] + [f"v{seed}x{number}" for number in range(300 - kept)])


def test_a_signature_is_the_same_in_every_process_and_version() -> None:
    code = f"import sys; from ingest.duplicates import signature; sys.stdout.write(signature({PARENTAL!r}).hex())"
    for seed in ("0", "7"):
        other = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        assert other.stdout == signature(PARENTAL).hex()
    # Stored signatures are compared with those of later releases: a change here needs another METHOD.
    assert METHOD == "minhash/1 rensa-r 128 places 3 words seed 1"
    assert (
        hashlib.sha256(signature(PARENTAL)).hexdigest()
        == "6993afe3db8858409e415e63fdd9f2de42d8ab4d5ca3bbd63cdf5dfdcf5bef36"
    )


@pytest.mark.parametrize(
    "same", [PARENTAL.upper(), PARENTAL.replace(" ", "\n  "), PARENTAL.replace(".", " !"), f"# {PARENTAL}\n"]
)
def test_case_blanks_and_punctuation_make_no_difference(same: str) -> None:
    assert signature(same) == signature(PARENTAL)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=100), st.text(max_size=100))
def test_similarity_is_symmetric_within_bounds_and_1_of_a_text_with_itself(one: str, other: str) -> None:
    a, b = signature(one), signature(other)
    assert similarity(a, a) == 1
    assert 0 <= similarity(a, b) == similarity(b, a) <= 1
    assert (similarity(a, b) == 1) or a != b


@pytest.mark.parametrize("target", [0.3, 0.6, 0.9])
def test_the_error_of_the_estimate_is_that_of_theory(target: float) -> None:
    errors = []
    for seed in range(150):
        one, other = pair(target, seed)
        errors.append(similarity(signature(one), signature(other)) - exact(one, other))
    deviation = (target * (1 - target) / PLACES) ** 0.5
    assert abs(sum(errors) / len(errors)) < 4 * deviation / len(errors) ** 0.5, "biased"
    assert (sum(error**2 for error in errors) / len(errors)) ** 0.5 < 1.25 * deviation


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("target", [0.2, 0.5, 0.7, 0.8, 0.9])
def test_pairs_share_a_band_as_often_as_the_curve_says(threshold: float, target: float) -> None:
    shared, predicted = 0, 0.0
    for seed in range(200):
        one, other = pair(target, seed)
        keys = (bands(signature(text), threshold=threshold) for text in (one, other))
        shared += any(a == b for a, b in zip(*keys, strict=True))
        predicted += candidate_probability(exact(one, other), rows(threshold))
    deviation = max(predicted * (1 - predicted / 200), 1) ** 0.5
    assert abs(shared - predicted) < 4 * deviation


def test_more_rows_than_chosen_would_lose_pairs_at_the_threshold() -> None:
    for threshold in (0.1, 0.5, 0.8, 0.9, 0.95):
        assert (
            candidate_probability(threshold, rows(threshold) + 1)
            < 0.99
            <= candidate_probability(threshold, rows(threshold))
        )


def test_chinese_thai_and_japanese_are_compared_by_character() -> None:
    one = "员工手册介绍了育儿假和差旅费用的规定，请在出发之前向经理申请批准。"
    other = one.replace("经理", "主管")
    assert 0.5 < exact(one, other) < 1
    assert abs(similarity(signature(one), signature(other)) - exact(one, other)) < 0.15
    assert len(shingles("พนักงานทุกคน")) > 3
    assert len(shingles("カタカナの本")) == 4


@pytest.mark.parametrize("short", ["", " ", "...", "Hello", "two words", "三"])
def test_short_texts_have_signatures_that_tell_them_apart(short: str) -> None:
    assert len(signature(short)) == 4 * PLACES
    assert similarity(signature(short), signature(PARENTAL)) < 0.1
    assert similarity(signature(short), signature(short + " and more of it")) < 0.9


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.1, 0.01, float("nan")])
def test_a_threshold_that_cannot_be_kept_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        bands(signature(PARENTAL), threshold=threshold)


def test_bytes_of_another_method_are_refused() -> None:
    with pytest.raises(ValueError, match="512 bytes"):
        similarity(signature(PARENTAL), b"short")
    with pytest.raises(ValueError, match="512 bytes"):
        bands(b"short")


def perturbed() -> Iterator[tuple[str, str]]:
    """Pages of a real handbook, each with a few words changed, dropped or added."""
    draw = random.Random(1)
    for path in sorted(HANDBOOK.rglob("*.md")):
        words = path.read_text("utf-8").split()
        if len(words) >= 100:
            changed = list(words)
            for _ in range(draw.randint(1, max(1, len(words) // 60))):
                at = draw.randrange(len(changed))
                changed[at : at + draw.randint(0, 1)] = draw.choice([[], ["changed"], [draw.choice(words)]])
            yield " ".join(words), " ".join(changed)


@pytest.mark.slow
@pytest.mark.skipif(not HANDBOOK.is_dir(), reason="shared data handbooks/18F is not here")
def test_perturbed_pages_of_a_handbook_are_found_and_unrelated_pages_are_not() -> None:
    pairs = [(one, other) for one, other in perturbed() if exact(one, other) >= 0.9]
    assert len(pairs) > 100
    keys = [(bands(signature(one)), bands(signature(other))) for one, other in pairs]
    found = sum(any(a == b for a, b in zip(*both, strict=True)) for both in keys)
    assert found / len(pairs) >= 0.99
    wrong = sum(
        any(a == b for a, b in zip(one, other, strict=True))
        for (one, _), (_, other) in zip(keys, keys[1:] + keys[:1], strict=True)
    )
    assert wrong / len(pairs) <= 0.01
