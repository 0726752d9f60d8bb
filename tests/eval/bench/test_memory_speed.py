"""Memory under agents in several processes."""

from __future__ import annotations

from pathlib import Path

from eval.bench.memory_speed import agents


def test_eight_agents_in_two_processes_lose_nothing_and_each_finds_what_it_has_just_written(tmp_path: Path) -> None:
    assert agents(tmp_path, 2) == {"written": 16, "found": 16, "missed": 0}
