"""Bulk encoding keeps the order given, the flight's depth and every fault."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from indexes import encoding as module
from indexes.arrays import Float32Matrix, Int32Vector
from indexes.encoding import Finish, encode_texts
from indexes.token_batches import TokenBatch

TEXTS = [f"{number} " + "x" * (number * 7 % 23) for number in range(100)]


def _tokenize(texts: Sequence[str]) -> list[Int32Vector]:
    return [np.array([ord(letter) for letter in text], np.int32) for text in texts]


def _sums(batch: TokenBatch) -> Float32Matrix:
    return np.asarray((batch.ids * batch.mask).sum(axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("stretch", [1, 7, 1000])
@pytest.mark.parametrize("in_flight", [1, 3])
def test_rows_come_in_the_order_given_and_batches_finish_in_the_order_started(
    monkeypatch: pytest.MonkeyPatch, stretch: int, in_flight: int
) -> None:
    monkeypatch.setattr(module, "_STRETCH", stretch)
    events: list[tuple[str, int]] = []

    def start(batch: TokenBatch) -> Finish:
        number = sum(kind == "start" for kind, _ in events)
        events.append(("start", number))

        def finish() -> Float32Matrix:
            events.append(("finish", number))
            return _sums(batch)

        return finish

    rows = encode_texts(TEXTS, tokenize=_tokenize, start=start, dim=1, budget=64, in_flight=in_flight)
    assert rows.ravel().tolist() == [float(sum(map(ord, text))) for text in TEXTS]
    finished = [number for kind, number in events if kind == "finish"]
    assert finished == sorted(finished)
    flying = np.cumsum([1 if kind == "start" else -1 for kind, _ in events])
    assert flying.max() == in_flight
    assert flying[-1] == 0


def test_no_text_gives_no_row() -> None:
    assert encode_texts([], tokenize=_tokenize, start=lambda _: pytest.fail("started"), dim=3, budget=8).shape == (0, 3)


def test_a_fault_in_the_tokenizers_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STRETCH", 10)

    def tokenize(texts: Sequence[str]) -> list[Int32Vector]:
        if TEXTS[0] in texts:
            raise ValueError("cannot be cut")
        return _tokenize(texts)

    with pytest.raises(ValueError, match="cannot be cut"):
        encode_texts(TEXTS, tokenize=tokenize, start=lambda batch: lambda: _sums(batch), dim=1, budget=64)
