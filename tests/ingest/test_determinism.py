"""Same in, same out: neither batches nor order nor the number of workers shows in the build id or in the hits."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest import encode, scan
from rag import Loremill, Principal

ALICE = Principal("t", "user:alice")
WORDS = "kiln oven clay glaze cone flame draft shelf ware slip bisque cobalt ash salt soda raku".split()  # noqa: SIM905
QUERIES = ("a glaze of cobalt", "salt and soda", "the draft of the oven")


def rows() -> list[str]:
    made = random.Random(1)
    return [
        json.dumps({"id": str(number), "text": "\n\n".join(" ".join(made.choices(WORDS, k=made.randint(5, 90))) for _ in range(3))})
        for number in range(70)
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "order", "workers"), [(1, 0, 1), (7, 0, 2), (64, 1, 1), (64, 2, 2)],
    ids=["one by one", "sevens, two workers", "shuffled", "shuffled, two workers"],
)  # fmt: skip
def test_batches_order_and_workers_do_not_show(
    open_mill: Callable[..., Loremill],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
    order: int,
    workers: int,
) -> None:
    def outcome(home: str, lines: list[str], **settings: object) -> tuple[str, list[list[tuple[str, float]]]]:
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(lines))
        mill = open_mill(tmp_path / home, chunk_tokens=60, **settings)
        build = mill.ingest(path, collection="c", tenant="t", allow=["everyone"]).build
        found = [mill.search(query, collection="c", principal=ALICE) for query in QUERIES]
        return build, [[(hit.chunk_id, round(hit.score, 4)) for hit in hits] for hits in found]

    lines = rows()
    expected = outcome("reference", lines)
    monkeypatch.setattr(encode, "WINDOW", batch)
    monkeypatch.setattr(encode, "_SAVED_AT_ONCE", batch)
    monkeypatch.setattr(scan, "_WINDOW", max(2, batch // 2))
    if order:
        random.Random(order).shuffle(lines)
    assert outcome("other", lines, parse_workers=workers) == expected
