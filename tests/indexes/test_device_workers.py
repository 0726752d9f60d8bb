"""Several devices share the work; whatever a worker does, the caller gets every row or an error, never a hang."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from indexes import device_workers as module
from indexes.arrays import Float32Matrix
from indexes.device_workers import DeviceWorkers, Embed
from indexes.errors import EmbedderError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
TEXTS = [f"{'x' * (number % 11)}" for number in range(50)]


def make(device: str) -> Embed:
    """A worker whose texts may order it to fail; a row is (length of the text, number of the device)."""

    def embed(texts: Sequence[str]) -> Float32Matrix:
        for text in texts:
            order, _, argument = text.partition(" ")
            if order == "die":
                os._exit(3)
            if order == "die-once" and not Path(argument).exists():
                Path(argument).touch()
                os._exit(3)
            if order == "raise":
                raise ValueError("out of memory")
            if order == "sleep":
                time.sleep(60)
        return np.array([(len(text), int(device[-1])) for text in texts], np.float32).reshape(len(texts), 2)

    return embed


def refuse(device: str) -> Embed:
    raise OSError(f"no model for {device}")


@pytest.fixture(autouse=True)
def _small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHARE", 4)


def test_rows_come_in_the_order_given_whichever_device_encoded_them() -> None:
    with DeviceWorkers(make, ["cuda:0", "cuda:1"]) as workers:
        for _ in range(2):
            rows = workers.embed(TEXTS, dim=2)
            assert rows[:, 0].tolist() == [float(len(text)) for text in TEXTS]
            assert set(rows[:, 1].tolist()) <= {0.0, 1.0}
        assert workers.embed([], dim=2).shape == (0, 2)


def test_a_worker_that_dies_is_replaced_and_its_texts_are_encoded_again(tmp_path: Path) -> None:
    texts = [*TEXTS, f"die-once {tmp_path / 'died'}", "last"]
    with DeviceWorkers(make, ["cuda:0"]) as workers:
        rows = workers.embed(texts, dim=2)
    assert rows[:, 0].tolist() == [float(len(text)) for text in texts]
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("die", "died twice.*exit code 3"),
        ("raise", "ValueError: out of memory"),
        ("sleep", "no device answered for 4 s"),
    ],
)
def test_texts_that_cannot_be_encoded_are_an_embedder_error_that_names_the_cause(text: str, message: str) -> None:
    with DeviceWorkers(make, ["cuda:0"], timeout_s=30) as workers:
        workers.embed(TEXTS, dim=2)  # the process is up: from here on silence is the text's doing
        workers._timeout_s = 4
        processes = [worker.process for worker in workers._workers]
        with pytest.raises(EmbedderError, match=message):
            workers.embed([*TEXTS, text], dim=2)
        assert not workers.alive
    assert all(process.exitcode is not None for process in processes)


def test_a_model_that_cannot_be_loaded_is_an_embedder_error_that_names_the_device() -> None:
    with DeviceWorkers(refuse, ["cuda:7"]) as workers, pytest.raises(EmbedderError, match=r"cuda:7.*no model"):
        workers.embed(TEXTS, dim=2)


def test_a_worker_killed_while_idle_is_replaced() -> None:
    with DeviceWorkers(make, ["cuda:0"]) as workers:
        workers.embed(TEXTS, dim=2)
        (worker,) = workers._workers
        worker.process.kill()
        worker.process.join()
        assert workers.embed(TEXTS, dim=2)[:, 0].tolist() == [float(len(text)) for text in TEXTS]
