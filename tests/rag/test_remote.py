"""A client of a server gets what the facade gives, as the key's principal, and errors of the same tree."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from indexes.errors import (
    AccessDenied,
    CollectionNotFound,
    ConfigError,
    LoremillError,
    ProviderError,
    TooLarge,
    UnsupportedFilter,
)
from indexes.minilm import MiniLM
from rag import Hit, Loremill, Principal
from rag.answer import Answer
from rag.remote import RemoteLoremill
from tests.serving import serving

pytest.importorskip("uvicorn", reason="the extra `service` is not installed")
http = pytest.importorskip("service.http", reason="the extra `service` is not installed")

DOCS = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: 'finance/**', allow: [group:finance]}\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for every employee of Halden.\n",
    "travel.md": "---\nyear: 2026\n---\n# Travel\n\nTrain journeys are booked in second class. Flights need approval.\n",
    "finance/budget.md": "# Marketing budget\n\nThe marketing budget for 2026 is 340,000 euros.\n",
}
PEOPLE = "alice: {tenant: halden, groups: [finance]}\nbob: {tenant: halden}\nmia: {tenant: rival, groups: [finance]}\n"
LEAVE = "How long is parental leave?"
BUDGET = "How large is the marketing budget for 2026?"


@dataclass(frozen=True)
class Place:
    """The server's URL, the mill behind it, and a key for each person."""

    url: str
    mill: Loremill
    keys: dict[str, str]

    def connect(self, who: str) -> RemoteLoremill:
        return Loremill.connect(self.url, token=self.keys[who])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("remote")
    for name, text in DOCS.items():
        path = root / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "principals.yaml").write_text(PEOPLE)
    with Loremill.open(root / "home", max_query_chars=200) as mill:
        mill.embedder = minilm
        mill.ingest(root / "docs", collection="company")
        mill.directory.import_principals(root / "principals.yaml")
        keys = {name: mill.directory.create_key(name)[1] for name in ("alice", "bob", "mia")}
        with serving(http.create_app(mill)) as url:
            yield Place(url, mill, keys)


def as_sent(hits: list[Hit]) -> list[Hit]:
    """The headings of a hit are no part of what is sent."""
    return [replace(hit, headings=()) for hit in hits]


def timeless(answer: Answer) -> Answer:
    return replace(answer, timings_ms={})


@pytest.mark.parametrize("who", ["alice", "bob"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "dense"},
        {"mode": "lexical"},
        {"top_k": 1},
        {"where": {"year": 2026}},
        {"where": {"year": "1999"}},
        {"where": {"or": [{"title": {"gte": "M"}}, {"year": {"in": [1, 2]}}], "year": {"exists": False}}},
    ],
)
def test_a_search_finds_what_the_facade_finds(place: Place, who: str, options: dict[str, Any]) -> None:
    principal = place.mill.directory.resolve(who)
    expected = place.mill.search("the marketing budget", collection="company", principal=principal, **options)
    with place.connect(who) as remote:
        found = remote.search("the marketing budget", collection="company", principal=principal, **options)
    assert found == as_sent(expected)
    assert all(isinstance(hit, Hit) for hit in found)
    if not options:
        assert len(found) == (3 if who == "alice" else 2)


@pytest.mark.parametrize("who", ["alice", "bob"])
@pytest.mark.parametrize("question", [LEAVE, BUDGET])
def test_an_answer_is_the_facades(place: Place, who: str, question: str) -> None:
    principal = place.mill.directory.resolve(who)
    expected = place.mill.ask(question, collection="company", principal=principal)
    with place.connect(who) as remote:
        answer = remote.ask(question, collection="company", principal=principal)
    assert isinstance(answer, Answer)
    assert timeless(answer) == timeless(expected)
    assert answer.timings_ms.keys() == expected.timings_ms.keys()
    assert answer.abstained is (question == BUDGET and who == "bob")
    assert answer.abstained or answer.citations[0].quote in DOCS[answer.citations[0].document_id]


@pytest.mark.parametrize(("earlier", "cited"), [(LEAVE, "leave.md"), ("How are train journeys booked?", "travel.md")])
def test_earlier_turns_are_sent_along(place: Place, earlier: str, cited: str) -> None:
    history = [{"role": "user", "content": earlier}, {"role": "assistant", "content": "Let me see."}]
    principal = place.mill.directory.resolve("bob")
    expected = place.mill.ask("And that?", collection="company", principal=principal, history=history)
    with place.connect("bob") as remote:
        answer = remote.ask("And that?", collection="company", history=history)
    assert timeless(answer) == timeless(expected)
    assert answer.citations[0].document_id == cited


def test_the_keys_principal_counts_whoever_is_named(place: Place) -> None:
    alice = place.mill.directory.resolve("alice")
    with place.connect("bob") as remote:
        hits = remote.search("the marketing budget", collection="company", principal=alice)
        answer = remote.ask(BUDGET, collection="company", principal=alice)
    assert {hit.document_id for hit in hits} == {"leave.md", "travel.md"}
    assert answer.abstained
    assert "340,000" not in answer.answer


@pytest.mark.parametrize("token", ["wrong", "lm_0_wrong", "a b c"])
def test_a_wrong_key_is_denied(place: Place, token: str) -> None:
    with Loremill.connect(place.url, token=token) as remote:
        with pytest.raises(AccessDenied):
            remote.search("leave", collection="company", principal=Principal("halden", "user:alice"))
        with pytest.raises(AccessDenied):
            remote.ask(LEAVE, collection="company")


def test_a_revoked_key_is_denied_at_the_next_call(place: Place) -> None:
    key_id, secret = place.mill.directory.create_key("bob")
    with Loremill.connect(place.url, token=secret) as remote:
        assert remote.search("leave", collection="company")
        place.mill.directory.revoke_key(key_id)
        with pytest.raises(AccessDenied):
            remote.search("leave", collection="company")


def test_an_unknown_collection_and_another_tenants_are_not_found_alike(place: Place) -> None:
    texts = set()
    for who, name in (("alice", "nowhere"), ("mia", "company"), ("mia", "nowhere")):
        with place.connect(who) as remote:
            for call in (remote.search, remote.ask):
                with pytest.raises(CollectionNotFound) as raised:
                    call(LEAVE, collection=name)
                if who == "mia":
                    texts.add(str(raised.value).replace(name, "NAME"))
    assert len(texts) == 1


@pytest.mark.parametrize(
    "options",
    [{"top_k": 0}, {"top_k": 1001}, {"mode": "psychic"}, {"query": ""}, {"query": "  "}, {"query": "leave " * 100}],
)
def test_a_bad_argument_is_an_error_of_ours_that_is_not_the_servers_fault(
    place: Place, options: dict[str, Any]
) -> None:
    with place.connect("bob") as remote, pytest.raises(LoremillError) as raised:
        remote.search(**({"query": "leave", "collection": "company"} | options))
    assert raised.value.exit_code in {64, 65}
    assert not isinstance(raised.value, ProviderError | AccessDenied | CollectionNotFound)
    assert str(raised.value)


def test_an_unknown_generator_is_a_config_error(place: Place) -> None:
    with place.connect("bob") as remote, pytest.raises(ConfigError, match="oracle"):
        remote.ask(LEAVE, collection="company", generator="oracle")


def test_a_server_that_is_not_there_is_a_provider_error_that_names_it() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with Loremill.connect(url, token="any") as remote:
        for call in (remote.search, remote.ask):
            with pytest.raises(ProviderError, match=f"the server at {url}.* cannot be reached"):
                call(LEAVE, collection="company")


def test_a_server_that_went_away_is_a_provider_error(place: Place) -> None:
    with serving(http.create_app(place.mill)) as url:
        remote = Loremill.connect(url, token=place.keys["bob"])
        assert remote.search("leave", collection="company")
    with remote, pytest.raises(ProviderError, match=f"the server at {url}.* cannot be reached"):
        remote.search("leave", collection="company")


def test_a_server_that_does_not_answer_in_time_is_a_provider_error() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with (
            RemoteLoremill(url, token="any", timeout_s=0.2) as remote,
            pytest.raises(ProviderError, match="cannot be reached"),
        ):
            remote.search("leave", collection="company")


def replying(status: int, body: bytes, **headers: str) -> Any:
    """An application that gives every request the same reply."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def reply(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await receive()
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    return reply


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b""])
def test_a_failure_that_is_no_problem_document_is_a_provider_error_with_its_status(status: int, body: bytes) -> None:
    with (
        serving(replying(status, body)) as url,
        Loremill.connect(url, token="any") as remote,
        pytest.raises(ProviderError, match=f"the server answered {status}"),
    ):
        remote.search("leave", collection="company")


@pytest.mark.parametrize(("wait", "seconds"), [("7", 7.0), ("soon", None), (None, None)])
def test_a_busy_server_says_when_to_come_again(wait: str | None, seconds: float | None) -> None:
    headers = {} if wait is None else {"retry_after": wait}
    with (
        serving(replying(503, b"", **headers)) as url,
        Loremill.connect(url, token="any") as remote,
        pytest.raises(ProviderError) as raised,
    ):
        remote.search("leave", collection="company")
    assert raised.value.retry_after_s == seconds


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"[]", b"[1]", b"null", b"7", b"{}", b"", b'{"hits": [7]}',
                                  b'{"hits": [{"rank": 1}]}'])  # fmt: skip
def test_a_body_that_is_not_ours_is_a_provider_error(body: bytes) -> None:
    with serving(replying(200, body)) as url, Loremill.connect(url, token="any") as remote:
        for call in (remote.search, remote.ask):
            with pytest.raises(ProviderError):
                call(LEAVE, collection="company")


def test_fields_of_a_newer_server_are_ignored(place: Place) -> None:
    principal = place.mill.directory.resolve("bob")
    answer = place.mill.ask(LEAVE, collection="company", principal=principal)
    found = place.mill.search_result("leave", collection="company", principal=principal)
    new = {"from_the_future": [1]}
    data = answer.to_json() | new
    data |= {name: [entry | new for entry in data[name]] for name in ("sentences", "citations")}
    data["usage"] = data["usage"] | new
    hits = found.to_json() | new
    hits["hits"] = [hit | new for hit in hits["hits"]]
    with serving(replying(200, json.dumps(data | hits).encode())) as url, Loremill.connect(url, token="any") as remote:
        assert timeless(remote.ask(LEAVE, collection="company")) == timeless(answer)
        assert remote.search("leave", collection="company") == as_sent(list(found.hits))


@pytest.mark.parametrize("value", [{2026}, float("nan"), float("inf"), object()])
def test_an_argument_that_json_cannot_say_is_a_config_error(place: Place, value: Any) -> None:
    with place.connect("bob") as remote:
        with pytest.raises(ConfigError, match="cannot be sent"):
            remote.search("leave", collection="company", where={"year": value})
        with pytest.raises(ConfigError, match="cannot be sent"):
            remote.ask(LEAVE, collection="company", history=[{"role": "user", "content": value}])


def test_a_query_over_the_limit_is_too_large(place: Place) -> None:
    with place.connect("bob") as remote:
        for call in (remote.search, remote.ask):
            with pytest.raises(TooLarge):
                call("leave " * 100, collection="company")


def test_a_filter_that_cannot_be_applied_is_still_that_error(place: Place) -> None:
    with place.connect("bob") as remote, pytest.raises(UnsupportedFilter):
        remote.search("leave", collection="company", where={'ye"ar': 2026})
    with place.connect("bob") as remote, pytest.raises(UnsupportedFilter, match=r"where\.year\.near: unknown operator"):
        remote.search("leave", collection="company", where={"year": {"near": 2026}})


def test_white_space_around_a_token_is_no_part_of_it(place: Place) -> None:
    with Loremill.connect(place.url, token=f" {place.keys['bob']}\n") as remote:
        assert remote.search("leave", collection="company")


@pytest.mark.parametrize("token", ["", " ", "\n", "lm_sécret", "lm_secret\nX-Other: 1", "lm_\x00secret"])
def test_a_token_that_cannot_be_one_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(ConfigError, match="must be an API key") as raised:
        Loremill.connect("http://localhost", token=token)
    assert "lm_" not in str(raised.value)
    assert raised.value.__cause__ is None
