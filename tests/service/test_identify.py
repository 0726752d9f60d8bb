"""Over HTTP: API keys and tokens side by side, one answer to whatever does not hold, and administrators who ask as others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from indexes.directory import Directory, Identity, Role
from indexes.vocabulary import Principal
from rag.loremill import Loremill
from service.http import create_app
from service.identify import Identifier
from service.middleware import ACT_AS
from tests.service.forgeries import FORGERIES
from tests.service.issuer import SETTINGS, Issuer, running_issuer

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def client(place: Any, mill: Loremill, issuer: Issuer) -> Iterator[TestClient]:
    """The application with an issuer, over the home of the other tests."""
    with Loremill.open(place.home, jwt_jwks=issuer.url, **SETTINGS) as opened:
        opened.embedder = mill.embedder
        yield TestClient(create_app(opened), raise_server_exceptions=False)


@pytest.fixture
def titles(client: TestClient) -> Ask:
    """Which documents a bearer sees, or the refusal's status and body."""

    def ask(secret: str, act_as: str | bytes | None = None, collection: str = "company") -> Any:
        headers: list[tuple[str | bytes, str | bytes]] = [("Authorization", f"Bearer {secret}")]
        if act_as is not None:
            headers.append((ACT_AS, act_as))
        reply = client.get("/v1/documents", params={"collection": collection}, headers=headers)  # type: ignore[arg-type]
        if reply.status_code != 200:
            return reply.status_code, reply.text
        return {document["title"] for document in reply.json()["documents"]}

    return ask


@pytest.fixture(scope="module")
def admin(mill: Loremill) -> str:
    """A key of an administrator who is in no group."""
    return mill.directory.create_key("halden/user:root", role="administrator")[1]


EVERYBODYS = {"Parental leave", "Travel policy"}
FINANCES = EVERYBODYS | {"Marketing budget"}


def test_a_token_and_a_key_of_the_same_person_see_the_same(titles: Ask, issuer: Issuer, place: Any) -> None:
    assert titles(issuer.token()) == titles(place.keys["alice"]) == FINANCES
    assert titles(issuer.token(sub="bob", groups=[])) == titles(place.keys["bob"]) == EVERYBODYS


def test_another_tenants_token_finds_nothing_here(titles: Ask, issuer: Issuer) -> None:
    token = issuer.token(tenant="rival")
    assert titles(token, collection="plans") == {"Plans"}
    foreign, missing = titles(token), titles(token, collection="ynapmoc")
    assert foreign == (404, missing[1].replace("ynapmoc", "company"))


@pytest.mark.parametrize("role", [*Role])
def test_no_role_widens_what_may_be_read(titles: Ask, issuer: Issuer, role: Role) -> None:
    assert titles(issuer.token(sub="bob", groups=[], role=role.value)) == EVERYBODYS


def test_a_token_of_role_editor_may_put_documents_and_one_without_may_not(client: TestClient, issuer: Issuer) -> None:
    for role, status in ((None, 403), ("editor", 404), ("administrator", 404)):
        headers = {"Authorization": f"Bearer {issuer.token(role=role)}"}
        found = client.delete("/v1/documents/none", params={"collection": "company"}, headers=headers)
        assert found.status_code == status


def test_everything_that_does_not_hold_gets_one_and_the_same_401(
    client: TestClient, issuer: Issuer, mill: Loremill
) -> None:
    key_id, revoked = mill.directory.create_key("alice")
    mill.directory.revoke_key(key_id)
    secrets = [make(issuer) for make in FORGERIES.values()] + [revoked, f"lm_{key_id}_x", "x", "x.y.z", ""]
    sent: list[dict[str, Any]] = [{"Authorization": f"Bearer {secret}".encode("latin-1")} for secret in secrets]
    sent += [{}, {"Authorization": issuer.token()}, {"Authorization": f"Basic {issuer.token()}"}]
    sent += [{**headers, ACT_AS: "alice"} for headers in sent[:3]]
    replies = [client.get("/v1/models", headers=headers) for headers in sent]
    answers = set()
    for reply in replies:
        reply.headers.pop("x-request-id")
        answers.add((reply.status_code, reply.content, tuple(sorted(reply.headers.items()))))
    ((status, _, headers),) = answers
    assert status == 401
    assert ("www-authenticate", 'Bearer realm="loremill"') in headers


def test_a_header_that_comes_twice_has_no_meaning(client: TestClient, issuer: Issuer, admin: str) -> None:
    good = ("Authorization", f"Bearer {issuer.token()}")
    assert client.get("/v1/models", headers=[good]).status_code == 200
    assert client.get("/v1/models", headers=[good, good]).status_code == 401
    twice = [("Authorization", f"Bearer {admin}"), (ACT_AS, "alice"), (ACT_AS, "bob")]
    assert client.get("/v1/models", headers=twice[:2]).status_code == 200
    assert client.get("/v1/models", headers=twice).status_code == 403


def test_without_an_issuer_every_token_is_refused(mill: Loremill, issuer: Issuer) -> None:
    client = TestClient(create_app(mill))
    refused = client.get("/v1/models", headers={"Authorization": f"Bearer {issuer.token()}"})
    assert (refused.status_code, refused.text) == (401, client.get("/v1/models").text)


def test_an_issuer_that_is_down_is_503_for_any_token_and_no_matter_for_keys(mill: Loremill, place: Any) -> None:
    with running_issuer() as down, Loremill.open(place.home, jwt_jwks=down.url, **SETTINGS) as opened:
        down.answer = (500, b"")
        client = TestClient(create_app(opened))
        tokens = (down.token(), down.token(exp=1), down.token(key=down.keys[1], alg="ES256"))
        replies = [client.get("/v1/models", headers={"Authorization": f"Bearer {token}"}) for token in tokens]
        assert {reply.status_code for reply in replies} == {503}
        assert len({reply.text for reply in replies}) == 1
        assert replies[0].headers["retry-after"] == "5"
        assert down.url not in replies[0].text
        key = {"Authorization": f"Bearer {place.keys['bob']}"}
        assert client.get("/v1/models", headers=key).status_code == 200


def test_an_administrator_asks_with_the_rights_of_a_name_or_a_literal(titles: Ask, issuer: Issuer, admin: str) -> None:
    for secret in (admin, issuer.token(sub="root", groups=[], role="administrator")):
        assert titles(secret) == EVERYBODYS
        assert titles(secret, "alice") == FINANCES
        assert titles(secret, " alice ") == FINANCES
        assert titles(secret, "halden/user:zed,group:finance") == FINANCES
        assert titles(secret, "halden/user:zed") == EVERYBODYS
    assert titles(issuer.token(role="administrator"), "bob") == EVERYBODYS  # the own rights are not added


def test_who_acts_as_somebody_is_a_reader_whom_the_identity_names(mill: Loremill, admin: str) -> None:
    identifier = Identifier(mill.directory, None)
    administrator = identifier.identify(admin)
    assert administrator is not None
    found = identifier.act_as(administrator, b"alice")
    alice = Principal("halden", "user:alice", ("group:finance",))
    assert found == Identity(alice, Role.READER, administrator.key_id, actor="user:root")


def test_acting_as_somebody_takes_no_documents_away(client: TestClient, admin: str) -> None:
    headers = {"Authorization": f"Bearer {admin}", ACT_AS: "alice"}
    gone = client.delete("/v1/documents/none", params={"collection": "company"}, headers=headers)
    assert gone.status_code == 403


@pytest.mark.parametrize(
    "wanted",
    [
        "mia", "rival/user:mia", "rival/user:mia,group:finance", "mallory", "", " ", "halden/", "/user:alice",
        "halden/alice", "halden/user:", "halden/user:a,finance", "halden/group:finance", "user:alice",
        "../rival/user:mia", "alice,bob", "x" * 5000, b"\xff\xfe", "HALDEN/user:alice",
    ],
)  # fmt: skip
def test_an_administrator_who_may_not_act_as_that_gets_the_403_of_who_is_none(
    titles: Ask, issuer: Issuer, admin: str, place: Any, wanted: str | bytes
) -> None:
    curator = issuer.token(role="curator")
    refused = {titles(secret, wanted) for secret in (admin, curator, place.keys["bob"], place.keys["editor"])}
    refused.add(titles(curator, "alice"))
    ((status, _),) = refused
    assert status == 403


def test_a_deactivated_name_is_refused_like_one_that_is_not_there(
    titles: Ask, admin: str, mill: Loremill, tmp_path: Path
) -> None:
    roster = tmp_path / "principals.yaml"
    roster.write_text("inga: {tenant: act-as-test, active: false}\n")
    mill.directory.import_principals(roster)
    assert titles(admin, "inga") == titles(admin, "nobody-of-that-name")


def test_who_is_no_administrator_is_refused_before_the_name_is_looked_up(
    titles: Ask, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Directory.resolve

    def resolve(self: Directory, name: str) -> Any:
        return pytest.fail("looked up") if name == "alice" else whole(self, name)

    monkeypatch.setattr(Directory, "resolve", resolve)
    assert titles(place.keys["bob"], "alice")[0] == 403


def test_a_name_beyond_ascii_is_utf_8(titles: Ask, admin: str) -> None:
    assert titles(admin, "halden/user:zoë,group:finance".encode()) == FINANCES
