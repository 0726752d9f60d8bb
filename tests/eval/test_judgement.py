"""Failures stay in every figure; noise is that of the repeats."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.judge import JudgeOptions
from eval.judge_cache import JudgeCache
from eval.judgement import Judgement, repeat_noise, worst_case_mean
from indexes.errors import ConfigError
from indexes.settings import load_settings

scores = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=20)


@given(scores, st.integers(0, 19), st.sampled_from(["higher", "lower"]))
def test_a_failure_in_place_of_a_score_never_makes_a_mean_better(
    values: list[float | None], place: int, direction: str
) -> None:
    failed = [None if number == place else value for number, value in enumerate(values)]
    before, after = worst_case_mean(values, direction), worst_case_mean(failed, direction)
    assert before is not None
    assert after is not None
    assert (after <= before + 1e-12) if direction == "higher" else (after >= before - 1e-12)


def test_one_failed_repeat_fails_the_judgement_and_every_value_is_kept() -> None:
    one = Judgement((1.0, None, 1.0), ("cut off",))
    assert one.value is None
    assert one.values == (1.0, None, 1.0)
    assert Judgement((0.0, 1.0)).value == 0.5


def test_a_failure_without_a_reason_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="reason"):
        Judgement((None,))


def test_noise_pools_the_spread_within_questions_and_none_repeated_has_none() -> None:
    assert repeat_noise([[0.0, 1.0], [0.5, 0.5], [None, 1.0]]) == pytest.approx(0.5)
    assert repeat_noise([[1.0], [0.0]]) is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "LOREMILL_JUDGE_BASE_URL"),
        ({"judge_base_url": "http://localhost:1/v1"}, "LOREMILL_JUDGE_MODEL"),
        ({"judge_base_url": "https://api.example.com/v1", "judge_model": "m"}, "LOREMILL_JUDGE_API_KEY"),
    ],
)
def test_a_setting_of_the_judge_that_is_missing_is_named(settings: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        JudgeOptions.from_settings(load_settings(**settings))


def test_the_key_is_not_shown() -> None:
    assert "s3cret" not in repr(JudgeOptions("https://api.example.com/v1", "m", "s3cret"))


def test_the_first_reply_to_a_question_stays_and_outlives_the_process(tmp_path: Path) -> None:
    with JudgeCache(tmp_path / "deep" / "judge.sqlite") as cache:
        cache.put("k", "first", "stop")
        cache.put("k", "second", "stop")
    with JudgeCache(tmp_path / "deep" / "judge.sqlite") as cache:
        assert cache.get("k") == ("first", "stop")
        assert cache.get("other") is None


def test_a_file_that_is_no_cache_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "judge.sqlite"
    file.write_bytes(b"something else entirely, and long enough to look at" * 50)
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="cannot be used"):
        JudgeCache(file)
    assert file.read_bytes() == before
