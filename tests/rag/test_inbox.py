"""What was accepted is kept, taken once, and told of to its owner alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexes.catalog import Catalog
from indexes.errors import ConfigError
from indexes.vocabulary import Principal
from rag.inbox import Inbox

ALICE, BOB = Principal("t", "user:alice"), Principal("t", "user:bob")
DOCUMENTS = [{"document_id": "a", "text": "Küche \ud800"}, {"document_id": "b", "text": "x"}]


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    catalog = Catalog.open(tmp_path / "catalog.db", tenant="t")
    yield Inbox(catalog, tmp_path)
    catalog.close()


def test_what_is_submitted_is_on_disk_as_it_was_given(inbox: Inbox) -> None:
    name = inbox.submit(DOCUMENTS, collection="c", principal=ALICE)
    assert [json.loads(line) for line in inbox.payload(name).read_text().splitlines()] == DOCUMENTS
    assert [path.name for path in inbox.payload(name).parent.iterdir()] == [f"{name}.jsonl"]


def test_a_bad_collection_name_is_refused(inbox: Inbox) -> None:
    with pytest.raises(ConfigError, match="collection"):
        inbox.submit(DOCUMENTS, collection="../c", principal=ALICE)
    assert inbox.next() is None


def test_the_oldest_is_taken_first_and_each_one_once(inbox: Inbox) -> None:
    names = [inbox.submit(DOCUMENTS, collection=f"c{number}", principal=ALICE) for number in range(6)]
    with ThreadPoolExecutor(4) as pool:
        taken = [found for found in pool.map(lambda _: inbox.next(), range(8)) if found is not None]
    assert sorted(taken) == sorted(zip(names, (f"c{number}" for number in range(6)), strict=True))


def test_how_it_stands_is_told_to_whoever_asked_for_it(inbox: Inbox) -> None:
    name = inbox.submit(DOCUMENTS, collection="c", principal=ALICE)
    status = inbox.status(name, principal=ALICE)
    assert status is not None
    assert (status["status"], status["report"], status["ended"]) == ("queued", None, None)
    assert inbox.status(name, principal=BOB) is None
    assert inbox.status(name, principal=Principal("rival", "user:alice")) is None
    inbox.next()
    inbox.close(name, report={"documents": {}})
    status = inbox.status(name, principal=ALICE)
    assert status is not None
    assert (status["status"], status["report"]) == ("done", {"documents": {}})
    assert not inbox.payload(name).exists()


def test_what_was_running_when_a_server_stopped_is_queued_again_and_what_ended_is_not(inbox: Inbox) -> None:
    running, ended = (inbox.submit(DOCUMENTS, collection="c", principal=ALICE) for _ in range(2))
    inbox.next()
    inbox.next()
    inbox.close(ended, error={"type": "X", "detail": "y"})
    assert inbox.requeue() == 1
    assert inbox.next() == (running, "c")
    inbox.close(ended, report={})
    status = inbox.status(ended, principal=ALICE)
    assert status is not None
    assert status["status"] == "failed", "how it ended stands"
