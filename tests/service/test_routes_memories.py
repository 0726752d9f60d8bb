"""/v1/memories: mem0's shape, the key's principal alone, and one answer to all that is not one's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag.loremill import Loremill
from service.http import create_app

Headers = dict[str, str]
TALK = [
    {"role": "user", "content": "I moved to Lisbon in May 2025.", "name": "Alice", "time": "2025-06-01T10:00:00"},
    {"role": "assistant", "content": "Lovely, how is the weather there?"},
]


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory, minilm: Any) -> Iterator[Loremill]:
    with Loremill.open(tmp_path_factory.mktemp("memories") / "home") as opened:
        opened.embedder = minilm
        yield opened


@pytest.fixture(scope="module")
def client(mill: Loremill) -> Iterator[TestClient]:
    with TestClient(create_app(mill), raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def as_(mill: Loremill) -> Callable[..., Headers]:
    """Headers of a subject of the tenant halden, or of another one."""

    def headers(who: str, role: str = "reader", tenant: str = "halden", groups: str = "") -> Headers:
        secret = mill.directory.create_key(f"{tenant}/{who}{groups}", role=role)[1]
        return {"Authorization": f"Bearer {secret}"}

    return headers


@pytest.fixture
def alice(as_: Any, client: TestClient) -> Iterator[Headers]:
    """Alice's key; whatever she remembered is gone afterwards."""
    headers = as_("user:alice")
    yield headers
    client.delete("/v1/memories", params={"user_id": "alice"}, headers=headers)


def added(client: TestClient, headers: Headers, messages: Any, **more: Any) -> list[dict[str, Any]]:
    response = client.post("/v1/memories", json={"messages": messages, **more}, headers=headers)
    assert response.status_code == 201, response.text
    return list(response.json()["results"])


def found(client: TestClient, headers: Headers, query: str, **more: Any) -> list[dict[str, Any]]:
    response = client.post("/v1/memories/search", json={"query": query, **more}, headers=headers)
    assert response.status_code == 200, response.text
    return list(response.json()["results"])


def test_what_is_remembered_comes_back_with_mem0s_names_beside_ours(client: TestClient, alice: Headers) -> None:
    one, other = added(client, alice, TALK, user_id="alice", run_id="s1", metadata={"source": "chat"})
    assert (one["memory"], one["event"], one["speaker"]) == (TALK[0]["content"], "ADD", "Alice")
    assert (one["time"], other["role"]) == ("2025-06-01T10:00:00+00:00", "assistant")
    best = found(client, alice, "Where does Alice live?", kinds=["episode"])[0]
    assert {
        "id",
        "memory",
        "score",
        "created_at",
        "updated_at",
        "metadata",
        "user_id",
        "agent_id",
        "run_id",
    } <= best.keys()
    assert {"kind", "text", "scope", "time", "valid_from", "valid_to", "trust", "provenance"} <= best.keys()
    assert (best["id"], best["user_id"], best["run_id"]) == (one["id"], "user:alice", "s1")
    assert best["metadata"] == {"source": "chat"}
    assert best["created_at"] == "2025-06-01T10:00:00+00:00"
    assert client.get(f"/v1/memories/{one['id']}", headers=alice).json()["memory"] == TALK[0]["content"]


def test_a_text_is_remembered_too_and_listed_page_by_page(client: TestClient, alice: Headers) -> None:
    made = [added(client, alice, f"Note number {number}.")[0]["id"] for number in range(5)]
    listed: list[str] = []
    query: dict[str, Any] = {"limit": 2, "kind": "episode"}
    while True:
        page = client.get("/v1/memories", params=query, headers=alice).json()
        listed += [one["id"] for one in page["results"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert listed == made


def test_mem0s_names_say_nothing_but_what_the_key_says(client: TestClient, as_: Any, alice: Headers) -> None:
    robot = as_("agent:robot")
    added(client, robot, "The door code is 4711.", agent_id="robot")
    assert found(client, robot, "door code", agent_id="agent:robot")[0]["agent_id"] == "robot"
    added(client, alice, "My desk is by the window.", user_id="user:alice")
    for names in ({"user_id": "alice"}, {"user_id": "user:alice"}, {"filters": {"user_id": "alice"}}):
        assert [one["memory"] for one in found(client, alice, "desk", kinds=["episode"], **names)] == [
            "My desk is by the window."
        ]


@pytest.mark.parametrize(
    "name", [{"user_id": "bob"}, {"user_id": "user:never"}, {"agent_id": "robot"}, {"agent_id": "alice"}]
)
def test_a_foreign_name_is_answered_as_a_memory_that_is_not_there(
    client: TestClient, alice: Headers, name: dict[str, str]
) -> None:
    missing = client.get(f"/v1/memories/{'0' * 32}", headers=alice)
    assert missing.status_code == 404
    for reply in (
        client.put(f"/v1/memories/{'0' * 32}", json={"text": "Hello there."}, headers=alice),
        client.post("/v1/memories", json={"messages": "Hello there.", **name}, headers=alice),
        client.post("/v1/memories/search", json={"query": "door", **name}, headers=alice),
        client.post("/v1/memories/search", json={"query": "door", "filters": name}, headers=alice),
        client.get("/v1/memories", params=name, headers=alice),
        client.delete("/v1/memories", params=name, headers=alice),
    ):
        assert (reply.status_code, reply.json()) == (404, missing.json())


def test_anothers_memory_and_another_tenants_read_as_one_that_never_was(
    client: TestClient, as_: Any, alice: Headers
) -> None:
    mine = added(client, alice, "My pin is 7788.")[0]["id"]
    for stranger in (as_("user:bob"), as_("user:alice", tenant="rival"), as_("user:bob", role="administrator")):
        for method, path, body in (
            ("GET", "{}", None), ("GET", "{}/history", None), ("PUT", "{}", {"text": "It is 1."}), ("DELETE", "{}", None),
            ("POST", "{}/share", {"scope": "user"}),
        ):  # fmt: skip
            replies = [
                client.request(method, f"/v1/memories/{path.format(name)}", json=body, headers=stranger)
                for name in (mine, "f" * 32)
            ]
            assert [one.status_code for one in replies] == [404, 404], (method, path)
            assert replies[0].json() == replies[1].json()
        assert found(client, stranger, "pin") == []
        assert client.get("/v1/memories", headers=stranger).json()["results"] == []
        assert (
            client.delete("/v1/memories", params={"query": "pin"}, headers=stranger).json()["receipt"]["counts"] == {}
        )
    assert client.get(f"/v1/memories/{mine}", headers=alice).json()["memory"] == "My pin is 7788."


def test_a_correction_is_told_by_the_history_and_can_be_undone(client: TestClient, alice: Headers) -> None:
    name = added(client, alice, "The meeting is on Monday.")[0]["id"]
    changed = client.put(f"/v1/memories/{name}", json={"data": "The meeting is on Friday."}, headers=alice)
    assert (changed.status_code, changed.json()["memory"]) == (200, "The meeting is on Friday.")
    events = client.get(f"/v1/memories/{name}/history", headers=alice).json()["results"]
    undone = client.post("/v1/memories/restore", json={"event_id": events[-1]["id"]}, headers=alice)
    assert (undone.status_code, undone.json()["memory"]) == (200, "The meeting is on Monday.")
    assert client.post("/v1/memories/restore", json={"event_id": "never"}, headers=alice).status_code == 404


def test_what_is_forgotten_is_gone_and_the_receipt_tells_no_text(client: TestClient, alice: Headers) -> None:
    name = added(client, alice, "My locker is number 17.")[0]["id"]
    reply = client.delete(f"/v1/memories/{name}", headers=alice)
    assert reply.status_code == 200
    assert reply.json()["receipt"]["counts"]["episode"] == 1
    assert "locker" not in reply.text
    assert client.get(f"/v1/memories/{name}", headers=alice).status_code == 404
    assert client.delete(f"/v1/memories/{name}", headers=alice).status_code == 404
    assert found(client, alice, "locker") == []


def test_a_session_is_a_filter_for_mem0s_users_and_a_company_for_ours(client: TestClient, alice: Headers) -> None:
    added(client, alice, "The kiln in Porto is red.", run_id="s1")
    added(client, alice, "The kiln in Braga is blue.", run_id="s2")
    added(client, alice, "The kiln in Faro is green.", run_id="s3", scope="session")

    def said(**names: str) -> set[str]:
        return {one["memory"].split()[-1] for one in found(client, alice, "kiln", kinds=["episode"], **names)}

    assert said() == {"red.", "blue."}
    assert said(run_id="s1") == {"red."}
    assert said(run_id="s3") == {"green."}
    assert said(session="s3") == {"red.", "blue.", "green."}
    page = client.get("/v1/memories", params={"run_id": "s3"}, headers=alice).json()["results"]
    assert [one["scope"] for one in page] == ["session"]


def test_everything_ones_own_is_forgotten_by_ones_name_alone_and_nothing_without_a_word(
    client: TestClient, as_: Any, alice: Headers
) -> None:
    bob = as_("user:bob")
    added(client, bob, "Bob's bike is yellow.")
    added(client, alice, "The spot is marked with a cross.")
    assert client.delete("/v1/memories", headers=alice).status_code == 400
    assert client.delete("/v1/memories", params={"user_id": "alice"}, headers=alice).status_code == 200
    assert client.get("/v1/memories", headers=alice).json()["results"] == []
    assert found(client, bob, "bike")
    client.delete("/v1/memories", params={"user_id": "bob"}, headers=bob)


def test_a_share_is_a_copy_that_the_team_reads_and_that_goes_with_what_it_was_made_of(
    client: TestClient, as_: Any
) -> None:
    alice, carl = as_("user:al", groups=",group:ops"), as_("user:carl", groups=",group:ops")
    name = added(client, alice, "The backup runs at 3 in the night.")[0]["id"]
    assert found(client, carl, "backup") == []
    copy = client.post(f"/v1/memories/{name}/share", json={"scope": "team:ops"}, headers=alice).json()
    assert (copy["scope"], copy["user_id"]) == ("team:ops", None)
    assert found(client, carl, "backup")[0]["id"] == copy["id"]
    client.delete(f"/v1/memories/{name}", headers=alice)
    assert found(client, carl, "backup") == []


def test_writing_for_the_tenant_takes_an_administrator_in_its_own_name(
    client: TestClient, as_: Any, mill: Loremill
) -> None:
    body = {"messages": "The office is closed on Mondays.", "scope": "tenant"}
    reader, boss = as_("user:bob", tenant="office"), as_("user:boss", role="administrator", tenant="office")
    assert client.post("/v1/memories", json=body, headers=reader).status_code == 403
    assert client.post("/v1/memories", json=body, headers=boss).status_code == 201
    one = found(client, reader, "office closed")[0]
    assert one["scope"] == "tenant"
    assert client.delete(f"/v1/memories/{one['id']}", headers=reader).json()["receipt"]["counts"] == {}
    private = added(client, reader, "My office is closed to all.")[0]["id"]
    assert client.delete(f"/v1/memories/{private}", headers=boss).status_code == 404
    assert client.delete("/v1/memories?scope=tenant", headers=boss).json()["receipt"]["counts"] == {"episode": 1}
    left = {
        each["id"] for each in found(client, reader, "office closed")
    }  # with what follows from the private one, or before it
    assert private in left
    assert one["id"] not in left


def test_who_asks_as_somebody_else_reads_and_changes_nothing(client: TestClient, as_: Any, alice: Headers) -> None:
    name = added(client, alice, "My shoe size is 41.")[0]["id"]
    acting = as_("user:boss", role="administrator") | {"X-Loremill-Act-As": "halden/user:alice"}
    assert client.get(f"/v1/memories/{name}", headers=acting).status_code == 200
    for method, path, body in (
        ("POST", "", {"messages": "My shoe size is 42."}), ("PUT", f"/{name}", {"text": "It is 42."}),
        ("DELETE", f"/{name}", None), ("DELETE", "?user_id=alice", None), ("POST", "/restore", {"event_id": "e"}),
        ("POST", f"/{name}/share", {"scope": "tenant"}), ("POST", "/consolidate", {}),
    ):  # fmt: skip
        reply = client.request(method, f"/v1/memories{path}", json=body, headers=acting)
        assert reply.status_code == 403, (method, path)
    assert [one["memory"] for one in client.get("/v1/memories?kind=episode", headers=alice).json()["results"]] == [
        "My shoe size is 41."
    ]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"messages": ""}, 400),
        ({"messages": "  "}, 400),
        ({"messages": []}, 400),
        ({"messages": [{"role": "user"}]}, 422),
        ({"messages": [{"role": "king", "content": "Hello there."}]}, 422),
        ({"messages": [{"role": "user", "content": ""}]}, 400),
        ({"messages": [{"content": "Fine."}, {"content": "Not.", "time": "2026-13-45"}]}, 422),
        ({"messages": [{"content": "Fine."}, {"content": "Not.", "time": "2999-01-01T00:00:00Z"}]}, 400),
        ({"messages": 7}, 422),
        ({"messages": "x" * 200_000}, 413),
        ({"messages": "x" * 1_000_000}, 413),
        ({"messages": [{"content": "Hello there."}] * 10_001}, 413),
        ({"scope": "planet"}, 400),
        ({"scope": "session"}, 400),
        ({"scope": "team:strangers"}, 403),
        ({"time": "yesterday"}, 422),
        ({"time": "2999-01-01T00:00:00Z"}, 400),
        ({"metadata": [1]}, 422),
        ({"principal": "halden/user:root"}, 422),
        ({"infer": False}, 422),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_cannot_be_remembered_is_refused_and_leaves_nothing(
    client: TestClient, alice: Headers, change: dict[str, Any], status: int
) -> None:
    response = client.post("/v1/memories", json={"messages": "My desk is oak.", **change}, headers=alice)
    assert response.status_code == status, response.text[:300]
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]
    assert client.get("/v1/memories", headers=alice).json()["results"] == []


def test_a_malformed_question_is_refused(client: TestClient, alice: Headers) -> None:
    for change, status in (
        ({"query": ""}, 422), ({"query": " "}, 400), ({"top_k": 0}, 422), ({"scopes": ["planet"]}, 400),
        ({"kinds": ["dream"]}, 422), ({"as_of": "soon"}, 422), ({"where": {"a": {"near": 1}}}, 400),
        ({"max_tokens": 0}, 422), ({"principal": "x"}, 422),
    ):  # fmt: skip
        reply = client.post("/v1/memories/search", json={"query": "desk", **change}, headers=alice)
        assert reply.status_code == status, (change, reply.text)


def test_consolidation_reports_what_it_did_and_again_does_nothing(
    client: TestClient, alice: Headers, mill: Loremill
) -> None:
    for number in range(6):
        said = f"The kiln number {number} was fired at {900 + number} degrees on that day."
        added(client, alice, [{"content": said, "time": "2024-03-01T10:00:00Z"}], run_id="old")
    mill.memory.settle()
    first, again = (client.post("/v1/memories/consolidate", json={}, headers=alice).json() for _ in range(2))
    assert (first["summarised"], again["summarised"], again["touched"]) == (1, 0, [])
    gone = client.post("/v1/memories/consolidate", json={"retention_days": 30}, headers=alice).json()
    assert gone["expired"]["retention"] >= 6
    assert found(client, alice, "kiln", kinds=["episode"]) == []
    for body, status in (({"scope": "tenant"}, 403), ({"scope": "planet"}, 400), ({"retention_days": 0}, 422)):
        assert client.post("/v1/memories/consolidate", json=body, headers=alice).status_code == status


def test_a_prompt_has_the_texts_within_the_tokens(client: TestClient, alice: Headers) -> None:
    added(client, alice, [{"content": f"The lamp in room {number} is broken."} for number in range(20)])
    body = {"query": "broken lamps", "as_prompt": True, "max_tokens": 200, "top_k": 20}
    reply = client.post("/v1/memories/search", json=body, headers=alice).json()
    assert reply["results"] == []
    assert 1 <= reply["prompt"].count("lamp") < 20


def test_metadata_filters_hold(client: TestClient, alice: Headers) -> None:
    added(client, alice, "The printer is in the hall.", metadata={"floor": 1})
    added(client, alice, "The printer is in the attic.", metadata={"floor": 4})
    for name in ("where", "filters"):
        (one,) = found(client, alice, "printer", kinds=["episode"], **{name: {"floor": {"gte": 2}}})
        assert one["memory"] == "The printer is in the attic."


def test_without_a_key_nothing_is_told(client: TestClient) -> None:
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("POST", "/search"),
        ("DELETE", ""),
        ("GET", "/x"),
        ("POST", "/restore"),
    ):
        assert client.request(method, f"/v1/memories{path}", content=json.dumps({})).status_code == 401
