"""The speed benchmark's stopwatch: processes measured one by one, two functions in turn."""

from __future__ import annotations

import sys

import pytest

from eval.bench.speed import interleave, run_process


def test_a_process_is_measured_by_itself_not_with_those_before_it() -> None:
    """Nor with this one: Linux starts a child's peak at the memory of its parent."""
    large = run_process((sys.executable, "-c", "b = bytearray(150 << 20); print(len(b))"))
    small = run_process((sys.executable, "-c", "print('small')"))
    assert large.output.strip() == str(150 << 20)
    assert large.peak_mib > 150 > small.peak_mib > 1
    assert 0 < small.seconds < 60


def test_a_failed_process_is_an_error_with_its_last_words() -> None:
    with pytest.raises(RuntimeError, match=r"ended with 3: .*last words"):
        run_process((sys.executable, "-c", "import sys; print('last words', file=sys.stderr); sys.exit(3)"))


def test_both_functions_get_every_query_and_take_turns_at_going_first() -> None:
    calls: list[str] = []
    times = interleave(lambda q: calls.append(f"search {q}"), lambda q: calls.append(f"embed {q}"), ["a", "b"])
    assert calls == ["search a", "embed a", "embed b", "search b"]
    assert [len(column) for column in times] == [2, 2]
    assert all(time >= 0 for column in times for time in column)
