"""Tokens of the issuer pass, with real keys and a real JWKS server; nothing else does."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from indexes.directory import Directory, Identity, Role
from indexes.settings import Settings, load_settings
from indexes.vocabulary import Principal
from service.jwks import IssuerKeys
from service.tokens import TokenVerifier, token_verifier
from tests.service.forgeries import FORGERIES, with_member
from tests.service.issuer import (
    AUDIENCE,
    SETTINGS,
    Clock,
    Issuer,
    b64,
    make_key,
    running_issuer,
)

Identify = Callable[..., Identity | None]


@pytest.fixture(scope="module")
def server() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(server: Issuer, clock: Clock) -> Issuer:
    server.keys = [make_key("RSA", "one"), make_key("P-256", "two"), make_key("OKP", "three")]
    server.clock = clock
    server.answer = None
    return server


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory.open(tmp_path / "home")


@pytest.fixture
def verifier(issuer: Issuer, clock: Clock, directory: Directory) -> Callable[..., TokenVerifier]:
    """Makes a verifier of the issuer's tokens on the test's clock."""

    def make(**settings: Any) -> TokenVerifier:
        chosen: Settings = load_settings(jwt_jwks=issuer.url, **SETTINGS, **settings)
        keys = IssuerKeys(chosen.jwt_jwks, ttl_s=chosen.jwt_jwks_ttl_s, clock=clock)
        return TokenVerifier(chosen, directory, keys, clock=clock)

    return make


def test_a_token_speaks_for_its_subject_with_its_groups_and_as_a_reader(issuer: Issuer, verifier: Any) -> None:
    found = verifier().identify(issuer.token(jti="t-1"))
    assert found == Identity(Principal("halden", "user:alice", ("group:finance",)), Role.READER, "jwt:t-1")


@pytest.mark.parametrize(
    ("change", "subject", "groups"),
    [
        ({"sub": "agent:scout"}, "agent:scout", ("group:finance",)),
        ({"sub": "service:billing"}, "service:billing", ("group:finance",)),
        ({"sub": "user:alice"}, "user:alice", ("group:finance",)),
        ({"sub": "auth0|7"}, "user:auth0|7", ("group:finance",)),
        ({"sub": "group:finance", "groups": []}, "user:group:finance", ()),
        ({"sub": "everyone", "groups": None}, "user:everyone", ()),
        ({"groups": ["group:finance", "staff"]}, "user:alice", ("group:finance", "group:staff")),
        ({"groups": ["user:bob", "everyone"]}, "user:alice", ("group:everyone", "group:user:bob")),
    ],
)
def test_names_get_their_kind_and_cannot_take_another(
    issuer: Issuer, verifier: Any, change: dict[str, Any], subject: str, groups: tuple[str, ...]
) -> None:
    assert verifier().identify(issuer.token(**change)).principal == Principal("halden", subject, groups)


def test_claims_may_have_other_names(issuer: Issuer, verifier: Any) -> None:
    names = {f"jwt_{name}_claim": f"x/{name}" for name in ("tenant", "subject", "groups", "role")}
    claims = {"x/tenant": "rival", "x/subject": "mia", "x/groups": ["sales"], "x/role": "editor"}
    found = verifier(**names).identify(issuer.token(**claims, role="administrator"))
    assert (found.principal, found.role) == (Principal("rival", "user:mia", ("group:sales",)), Role.EDITOR)


@pytest.mark.parametrize(
    ("claim", "role"),
    [
        (None, "reader"), ("reader", "reader"), ("editor", "editor"), ("curator", "curator"),
        ("administrator", "administrator"), ("root", "reader"), ("Administrator", "reader"), ("", "reader"),
        (["editor", "curator", "manager"], "curator"), (["manager", {}], "reader"), ([], "reader"),
    ],
)  # fmt: skip
def test_the_role_is_the_highest_known_one_and_reader_otherwise(
    issuer: Issuer, verifier: Any, claim: Any, role: str
) -> None:
    assert verifier().identify(issuer.token(role=claim)).role == role


@pytest.mark.parametrize(("place", "alg"), [(0, "RS256"), (0, "PS256"), (1, "ES256"), (2, "EdDSA")])
def test_each_algorithm_of_the_default_passes_with_its_key(
    issuer: Issuer, verifier: Any, place: int, alg: str, recwarn: pytest.WarningsRecorder
) -> None:
    token = issuer.token(key=issuer.keys[place], alg=alg)
    recwarn.clear()
    assert verifier().identify(token) is not None
    assert not recwarn.list


@pytest.mark.parametrize("flaw", FORGERIES)
def test_a_token_with_a_flaw_is_refused(issuer: Issuer, verifier: Any, flaw: str) -> None:
    forged = FORGERIES[flaw](issuer)
    assert verifier().identify(forged) is None
    assert verifier().identify(issuer.token()) is not None  # so the flaw alone was the reason


@pytest.mark.parametrize("header", ["jku", "x5u"])
def test_a_header_that_points_elsewhere_changes_nothing_and_is_never_followed(
    issuer: Issuer, verifier: Any, header: str
) -> None:
    with running_issuer() as elsewhere:
        token = issuer.token(header={header: elsewhere.url})
        assert verifier().identify(token).principal.subject == "user:alice"
        assert elsewhere.asked == 0


@pytest.mark.parametrize(
    "header", [{"typ": "at+jwt"}, {"typ": "application/at+jwt"}, {"typ": "jwt"}, {"nonce": "n", "x5t": "t"}]
)
def test_headers_that_are_none_of_its_business_do_not_matter(
    issuer: Issuer, verifier: Any, header: dict[str, Any]
) -> None:
    assert verifier().identify(issuer.token(header=header)) is not None


def test_one_audience_among_several_is_enough(issuer: Issuer, verifier: Any) -> None:
    assert verifier().identify(issuer.token(aud=["mail", AUDIENCE])) is not None


def test_the_edges_of_the_leeway(issuer: Issuer, verifier: Any, clock: Clock) -> None:
    clock.now = float(int(clock.now))
    now = int(clock.now)
    opened = verifier(jwt_leeway_s=30)
    assert opened.identify(issuer.token(exp=now - 29)) is not None
    assert opened.identify(issuer.token(exp=now - 30)) is None
    for claim in ("nbf", "iat"):
        assert opened.identify(issuer.token(**{claim: now + 30})) is not None
        assert opened.identify(issuer.token(**{claim: now + 31})) is None
    strict = verifier(jwt_leeway_s=0)
    token = issuer.token(exp=now + 1)
    assert strict.identify(token) is not None
    clock.now += 1
    assert strict.identify(token) is None


def test_a_payload_may_have_16_kib_and_no_more(issuer: Issuer, verifier: Any) -> None:
    assert verifier().identify(issuer.token(note="x" * 12_000)) is not None
    assert verifier().identify(issuer.token(note="x" * 12_300)) is None


@pytest.mark.parametrize(
    ("keys", "passes"),
    [
        ([("RSA", None), ("P-256", None)], True),
        ([("RSA", None), ("RSA", "two")], False),
        ([("RSA", None), ("RSA", "two", "enc")], True),
    ],
    ids=["one of its type", "two of its type", "the other one encrypts"],
)
def test_a_token_without_kid_needs_a_set_with_one_key_of_its_type(
    issuer: Issuer, verifier: Any, keys: list[tuple[str, ...]], passes: bool
) -> None:
    issuer.keys = [make_key(kind, kid, **({"use": use[0]} if use else {})) for kind, kid, *use in keys]
    token = issuer.token(header={"kid": None})
    assert (verifier().identify(token) is not None) is passes


@pytest.mark.parametrize(
    "parameters",
    [{"use": "enc"}, {"alg": "PS256"}, {"alg": "RS512"}, {"alg": "HS256"}],
    ids=lambda parameters: "-".join(*parameters.items()),
)
def test_a_key_that_is_meant_for_something_else_opens_nothing(
    issuer: Issuer, verifier: Any, parameters: dict[str, str]
) -> None:
    key = make_key("RSA", "own", **parameters)
    bare = type(key).import_key(key.private_key, {"kid": "own"})  # type: ignore[arg-type]
    issuer.keys = [key]
    assert verifier().identify(issuer.token(key=bare)) is None
    issuer.keys = [bare]
    assert verifier().identify(issuer.token(key=bare)) is not None


def test_a_shared_secret_in_the_set_opens_nothing(issuer: Issuer, verifier: Any) -> None:
    issuer.answer = (200, b'{"keys": [{"kty": "oct", "kid": "s", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}')
    secret = OctKey.import_key(b"secretsecretsecretsecret", {"kid": "s"})
    assert verifier().identify(issuer.token(key=secret, alg="HS256")) is None


def test_a_token_does_not_outlive_its_key_by_more_than_the_ttl(issuer: Issuer, verifier: Any, clock: Clock) -> None:
    opened = verifier(jwt_jwks_ttl_s=60)
    token = issuer.token()
    assert opened.identify(token) is not None
    issuer.keys = [make_key("RSA", "next")]
    clock.now += 60.1
    assert opened.identify(token) is None
    assert opened.identify(issuer.token()) is not None


def test_a_new_key_is_known_at_its_first_token_but_strangers_cause_one_fetch_in_5_s(
    issuer: Issuer, verifier: Any, clock: Clock
) -> None:
    opened = verifier()
    assert opened.identify(issuer.token()) is not None
    issuer.keys = [make_key("RSA", "next"), *issuer.keys]
    clock.now += 5
    before = issuer.asked
    assert opened.identify(issuer.token()) is not None
    assert issuer.asked == before + 1
    for _ in range(20):
        assert opened.identify(issuer.token(key=make_key("RSA", "thief"))) is None
    assert issuer.asked == before + 1
    clock.now += 5
    for _ in range(20):
        assert opened.identify(issuer.token(key=make_key("RSA", "thief"))) is None
    assert issuer.asked == before + 2


def test_groups_of_the_directory_stand_above_those_of_the_token(
    issuer: Issuer, verifier: Any, directory: Directory, tmp_path: Path
) -> None:
    file = tmp_path / "principals.yaml"
    file.write_text("al: {tenant: halden, subject: 'user:alice', groups: [staff]}\n")
    directory.import_principals(file)
    opened = verifier(jwt_groups="directory")
    assert opened.identify(issuer.token()).principal == Principal("halden", "user:alice", ("group:staff",))
    assert opened.identify(issuer.token(sub="bob")) is None
    assert opened.identify(issuer.token(tenant="rival")) is None
    assert opened.identify(issuer.token(sub="\0")) is None
    file.write_text("bob: {tenant: halden}\n")
    directory.import_principals(file)
    assert opened.identify(issuer.token()) is None


def test_a_subject_with_two_names_is_in_the_groups_of_both(directory: Directory, tmp_path: Path) -> None:
    file = tmp_path / "principals.yaml"
    file.write_text("a: {tenant: t, subject: 'user:x', groups: [g]}\nb: {tenant: t, subject: 'user:x', groups: [h]}\n")
    directory.import_principals(file)
    assert directory.find_subject("t", "user:x") == Principal("t", "user:x", ("group:g", "group:h"))
    directory.deactivate("b")
    assert directory.find_subject("t", "user:x") is None


def test_a_token_of_a_deactivated_subject_opens_nothing_whatever_it_claims(
    issuer: Issuer, verifier: Any, directory: Directory, tmp_path: Path
) -> None:
    file = tmp_path / "principals.yaml"
    file.write_text("alice: {tenant: halden}\n")
    directory.import_principals(file)
    assert verifier().identify(issuer.token()) is not None
    directory.deactivate("alice")
    assert verifier().identify(issuer.token()) is None


def test_the_last_of_two_equal_claims_counts_for_everything(issuer: Issuer, verifier: Any) -> None:
    assert verifier().identify(with_member(issuer, b'"sub": "bob"')).principal.subject == "user:bob"
    assert verifier().identify(with_member(issuer, b'"exp": 1')) is None


def test_a_refusal_is_logged_without_the_token_and_on_one_line(
    issuer: Issuer, verifier: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="loremill.http")
    token = issuer.token(aud="x", header={"x\nforged line": 1})
    assert verifier().identify(token) is None
    assert verifier().identify(issuer.token(key=make_key("RSA", "thief"), header={"kid": "a\nforged line"})) is None
    assert "aud" in caplog.text
    assert token.split(".")[2] not in caplog.text
    assert "\nforged line" not in caplog.text


@pytest.fixture(scope="module")
def standing(server: Issuer, tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenVerifier, str]:
    """A verifier and a token that passes, for many examples."""
    clock = Clock()
    settings = load_settings(jwt_jwks=server.url, **SETTINGS)
    keys = IssuerKeys(server.url, ttl_s=60, clock=clock)
    verifier = TokenVerifier(settings, Directory.open(tmp_path_factory.mktemp("home")), keys, clock=clock)
    server.keys, server.clock, server.answer = [make_key("P-256", "two")], clock, None
    token = server.token(alg="ES256")
    assert verifier.identify(token) is not None
    return verifier, token


@given(place=st.integers(0, 10_000), character=st.sampled_from(string.ascii_letters + string.digits + "-_.=+/ \xff"))
def test_no_token_passes_with_a_character_changed(standing: Any, place: int, character: str) -> None:
    verifier, token = standing
    place %= len(token)
    changed = token[:place] + character + token[place + 1 :]
    assert (verifier.identify(changed) is None) or changed == token


@given(parts=st.lists(st.text(max_size=30), max_size=5))
def test_no_text_passes_and_none_breaks_the_verifier(standing: Any, parts: list[str]) -> None:
    assert standing[0].identify(".".join(parts)) is None


@given(header=st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c"]), inner, max_size=5),
    max_leaves=8,
))  # fmt: skip
def test_no_header_passes_on_another_headers_signature(standing: Any, header: Any) -> None:
    verifier, token = standing
    for offered in (header, {"alg": "ES256", "kid": "two", **header} if isinstance(header, dict) else header):
        assert verifier.identify(".".join([b64(offered), *token.split(".")[1:]])) is None


def test_without_a_jwks_there_is_no_verifier(directory: Directory) -> None:
    assert token_verifier(load_settings(), directory) is None
