"""The issuer's keys: fetched seldom, never trusted for long, and kept through an outage for a while only."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from indexes.errors import IssuerUnavailable
from service import jwks
from service.jwks import GRACE_TTLS, RETRY_S, IssuerKeys, usable_keys
from tests.service.issuer import Clock, Issuer, make_key, running_issuer

TTL = 60.0


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(issuer: Issuer, clock: Clock) -> IssuerKeys:
    return IssuerKeys(issuer.url, ttl_s=TTL, clock=clock)


def kids(keys: IssuerKeys, **options: Any) -> list[str | None]:
    return [key.kid for key in keys.current(**options)]


def test_keys_are_fetched_once_a_ttl(issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
    assert issuer.asked == 0
    for seconds in (0.0, 30.0, 30.0):
        clock.now += seconds
        assert kids(keys) == ["one", "two", "three"]
    assert issuer.asked == 1
    issuer.keys = [make_key("P-256", "next")]
    clock.now += 0.1
    assert kids(keys) == ["next"]
    assert issuer.asked == 2


def test_asking_again_fetches_at_most_once_in_5_s(issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
    for _ in range(3):
        kids(keys, again=True)
    assert issuer.asked == 1
    clock.now += RETRY_S
    for _ in range(3):
        kids(keys, again=True)
    assert issuer.asked == 2


OUTAGES: dict[str, Callable[[Issuer], object]] = {
    "an error": lambda issuer: (503, b"{}"),
    "a redirect": lambda issuer: (302, b""),
    "no JSON": lambda issuer: (200, b"<html>"),
    "no UTF-8": lambda issuer: (200, b"\xff\xfe{"),
    "no keys": lambda issuer: (200, b'{"key": []}'),
    "a list": lambda issuer: (200, b"[]"),
    "nesting": lambda issuer: (200, b"[" * 100_000),
    "too much": lambda issuer: (200, issuer.document()[:-1] + b" " * 300_000 + b"}"),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_the_last_good_set_holds_through_an_outage_of_ten_ttls_and_no_longer(
    issuer: Issuer, keys: IssuerKeys, clock: Clock, outage: str
) -> None:
    assert len(kids(keys)) == 3
    issuer.answer = OUTAGES[outage](issuer)  # type: ignore[assignment]
    clock.now += TTL * GRACE_TTLS
    assert len(kids(keys)) == 3
    clock.now += 0.1
    with pytest.raises(IssuerUnavailable, match="cannot be fetched"):
        keys.current()
    issuer.answer = None
    clock.now += RETRY_S
    assert len(kids(keys)) == 3


def test_without_a_first_set_nothing_can_be_checked(issuer: Issuer, keys: IssuerKeys) -> None:
    issuer.answer = (500, b"")
    with pytest.raises(IssuerUnavailable) as raised:
        keys.current()
    assert (raised.value.http_status, raised.value.retry_after_s) == (503, RETRY_S)


def test_an_issuer_that_is_down_is_asked_once_in_5_s(issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
    issuer.answer = (500, b"")
    for _ in range(5):
        with pytest.raises(IssuerUnavailable):
            keys.current()
    assert issuer.asked == 1


def test_an_answer_that_drips_is_cut_off(
    issuer: Issuer, keys: IssuerKeys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jwks, "_TIMEOUT_S", 1.0)
    issuer.pause_s, issuer.piece = 0.1, 1
    with pytest.raises(IssuerUnavailable):
        keys.current()
    assert "it took more than 1 s" in caplog.text  # no single read was slow


def test_an_empty_set_is_an_answer_too(issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
    assert len(kids(keys)) == 3
    issuer.keys = []
    clock.now += TTL + 0.1
    assert kids(keys) == []


def test_many_threads_cause_one_fetch_and_all_get_its_keys(issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
    for issuer.answer in (None, (500, b""), None):  # also after an outage
        clock.now += TTL + 0.1
        kids(keys)
    issuer.keys, issuer.delay_s = [make_key("P-256", "next")], 0.2
    clock.now += TTL + 0.1
    got: list[list[str | None]] = []
    threads = [threading.Thread(target=lambda: got.append(kids(keys))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [["next"]] * 8  # nobody goes on with a withdrawn key because another one is fetching
    assert issuer.asked == 4


def test_nobody_waits_for_an_issuer_that_is_known_to_be_down(issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
    kids(keys)
    issuer.answer = (500, b"")
    clock.now += TTL + 0.1
    kids(keys)
    clock.now += RETRY_S
    issuer.arrived.clear()
    with issuer.hold:
        waiting = threading.Thread(target=kids, args=(keys,))
        waiting.start()
        assert issuer.arrived.wait(10)
        assert len(kids(keys)) == 3
        assert waiting.is_alive()
    waiting.join()


def test_keys_may_lie_in_a_file(issuer: Issuer, clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    keys = IssuerKeys(str(file), ttl_s=TTL, clock=clock)
    with pytest.raises(IssuerUnavailable):
        keys.current()
    file.write_bytes(issuer.document())
    clock.now += RETRY_S
    assert len(kids(keys)) == 3
    file.write_bytes(b" " * 300_000)
    clock.now += TTL * GRACE_TTLS + 0.1
    with pytest.raises(IssuerUnavailable):
        keys.current()


def public(key: Any, **change: Any) -> dict[str, Any]:
    return dict(key.as_dict(private=False)) | change


@pytest.mark.filterwarnings("ignore:Key size")
def test_keys_that_cannot_check_signatures_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    good = make_key("P-256", "good")
    entries: list[Any] = [
        public(good, kid="encrypts", use="enc"),
        public(good, kid="only signs", key_ops=["sign"]),
        public(good, kid="odd use", use="tls"),
        public(good, kid="no curve", crv="P-999"),
        public(good, kid="not on the curve", x=public(good)["y"]),
        public(good, kid="number", x=7),
        public(good, kty=["EC"]),
        public(RSAKey.generate_key(1024), kid="weak"),
        public(RSAKey.generate_key(2048), kid="bad", n="!"),
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0c2VjcmV0"},
        {"kty": "AKP", "kid": "of the future", "pub": "AA"},
        {"kid": "no kty"},
        "text", None, 7, [],
        public(good),
    ]  # fmt: skip
    assert [key.kid for key in usable_keys(json.dumps({"keys": entries}).encode())] == ["good"]
    assert "passed over" in caplog.text


def test_a_private_key_that_an_issuer_published_by_mistake_still_only_checks() -> None:
    leaked = ECKey.generate_key("P-256", {"kid": "oops"})
    (key,) = usable_keys(json.dumps({"keys": [leaked.as_dict(private=True)]}).encode())
    assert key.public_key.public_numbers() == leaked.public_key.public_numbers()  # type: ignore[union-attr]


def test_plain_http_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    IssuerKeys("https://login.example/jwks", ttl_s=TTL)
    assert not caplog.text
    IssuerKeys("http://login.example/jwks", ttl_s=TTL)
    assert "plain http" in caplog.text
