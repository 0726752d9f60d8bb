"""Tokens that must be refused, each with one flaw."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from typing import Any

from tests.service.issuer import AUDIENCE, ISSUER, Issuer, b64, make_key, sign


def _headed(issuer: Issuer, header: Any) -> str:
    """Return a token that holds but for its header, which is signed as well."""
    return sign(
        {"alg": "RS256", "kid": "one"} | header if isinstance(header, dict) else header, issuer.claims(), issuer.keys[0]
    )


def _paid(issuer: Issuer, payload: Any) -> str:
    """Return a token that holds but for its payload, which is signed as well."""
    return sign({"alg": "RS256", "kid": "one"}, payload, issuer.keys[0])


def with_member(issuer: Issuer, member: bytes) -> str:
    """Return a token of claims that hold, with one member more, written as it is."""
    return _paid(issuer, json.dumps(issuer.claims()).encode()[:-1] + b", " + member + b"}")


def _again(token: str, *, header: Any = None, payload: Any = None, signature: str | None = None) -> str:
    """Return a token with a part exchanged and the others left, the signature among them."""
    parts = token.split(".")
    exchanged = [None if header is None else b64(header), None if payload is None else b64(payload), signature]
    return ".".join(old if new is None else new for old, new in zip(parts, exchanged, strict=True))


def _confused(issuer: Issuer, secret: bytes) -> str:
    """Return the key confusion: HS256 with what everybody knows, under the kid of the RSA key."""
    signed = f"{b64({'alg': 'HS256', 'kid': 'one'})}.{b64(issuer.claims())}"
    return f"{signed}.{b64(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _thief(issuer: Issuer, **header: Any) -> str:
    """Return a token signed with a key of the thief's own, which the header offers."""
    return issuer.token(key=make_key("RSA", "thief"), header=header)


def _now(issuer: Issuer) -> int:
    return int(issuer.clock())


FORGERIES: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda i: i.token(exp=_now(i) - 31),
    "without exp": lambda i: i.token(exp=None),
    "exp is text": lambda i: i.token(exp=str(_now(i) + 600)),
    "exp is NaN": lambda i: i.token(exp=float("nan")),
    "exp is infinite": lambda i: i.token(exp=float("inf")),
    "exp is true": lambda i: i.token(exp=True),
    "not yet valid": lambda i: i.token(nbf=_now(i) + 40),
    "issued in the future": lambda i: i.token(iat=_now(i) + 40),
    "wrong audience": lambda i: i.token(aud="somebody-else"),
    "two wrong audiences": lambda i: i.token(aud=["somebody-else", "loremill-2"]),
    "no audience": lambda i: i.token(aud=None),
    "empty audience": lambda i: i.token(aud=[]),
    "audience is a mapping": lambda i: i.token(aud={AUDIENCE: True}),
    "wrong issuer": lambda i: i.token(iss="https://login.example"),
    "issuer with a slash more": lambda i: i.token(iss=ISSUER + "/"),
    "issuer in a list": lambda i: i.token(iss=[ISSUER]),
    "no issuer": lambda i: i.token(iss=None),
    "no subject": lambda i: i.token(sub=None),
    "empty subject": lambda i: i.token(sub=""),
    "blank subject": lambda i: i.token(sub="user: "),
    "subject is a number": lambda i: i.token(sub=7),
    "subject is half a surrogate pair": lambda i: with_member(i, b'"sub": "\\ud800"'),
    "no tenant": lambda i: i.token(tenant=None),
    "tenant is a list": lambda i: i.token(tenant=["halden"]),
    "tenant is a path": lambda i: i.token(tenant="../rival"),
    "groups is text": lambda i: i.token(groups="finance"),
    "groups has a number": lambda i: i.token(groups=["finance", 1]),
    "groups has an empty name": lambda i: i.token(groups=[""]),
    "role is a number": lambda i: i.token(role=4),
    "alg none": lambda i: _again(_headed(i, {"alg": "none"}), signature=""),
    "alg None": lambda i: _again(_headed(i, {"alg": "None"}), signature=""),
    "alg none, signature kept": lambda i: _headed(i, {"alg": "none"}),
    "signature cut off": lambda i: _again(i.token(), signature=""),
    "signature of another token": lambda i: _again(i.token(), signature=i.token(sub="bob").split(".")[2]),
    "groups tampered with": lambda i: _again(i.token(), payload=i.claims(groups=["finance", "executives"])),
    "role tampered with": lambda i: _again(i.token(), payload=i.claims(role="administrator")),
    "tenant tampered with": lambda i: _again(i.token(), payload=i.claims(tenant="rival")),
    "HS256 with the PEM": lambda i: _confused(i, i.keys[0].as_pem()),  # type: ignore[union-attr]
    "HS256 with the JWK": lambda i: _confused(i, json.dumps(i.keys[0].as_dict()).encode()),
    "HS256 with nothing": lambda i: _confused(i, b""),
    "RS512, which is not allowed": lambda i: i.token(alg="RS512"),
    "PS256 header on an RS256 signature": lambda i: _headed(i, {"alg": "PS256"}),
    "ES256 header with the RSA key's kid": lambda i: i.token(key=i.keys[1], alg="ES256", header={"kid": "one"}),
    "unknown kid": lambda i: i.token(key=make_key("RSA", "thief")),
    "another key under a known kid": lambda i: _thief(i, kid="one"),
    "another key and no kid": lambda i: _thief(i, kid=None),
    "kid is a number": lambda i: _headed(i, {"kid": 1}),
    "kid is null": lambda i: _headed(i, {"kid": None}),
    "brings its key in jwk": lambda i: _thief(i, kid="one", jwk=make_key("RSA", "thief").as_dict(private=False)),
    "points to its key in jku": lambda i: _thief(i, kid="thief", jku=i.url),
    "points to its key in x5u": lambda i: _thief(i, kid="thief", x5u=i.url),
    "brings its key in x5c": lambda i: _thief(i, kid="one", x5c=["MIIB"]),
    "crit": lambda i: i.token(header={"crit": ["exp"], "exp": 1}),
    "crit that joserfc knows": lambda i: i.token(header={"crit": ["kid"]}),
    "crit is empty": lambda i: _headed(i, {"crit": []}),
    "crit is a number": lambda i: _headed(i, {"crit": 1}),
    "unencoded payload": lambda i: _headed(i, {"b64": False, "crit": ["b64"]}),
    "a logout token": lambda i: i.token(header={"typ": "logout+jwt"}),
    "typ is a list": lambda i: _headed(i, {"typ": ["JWT"]}),
    "header is a list": lambda i: _headed(i, ["alg"]),
    "header is text": lambda i: _headed(i, "alg"),
    "header is nested too deeply": lambda i: _headed(i, b"[" * 3_000),
    "header is not UTF-8": lambda i: _headed(i, b'{"alg": "RS256", "kid": "\xff"}'),
    "payload is not UTF-8": lambda i: _paid(i, b'{"sub": "\xff"}'),
    "payload is a list": lambda i: _paid(i, b'["sub"]'),
    "payload is nested too deeply": lambda i: _paid(i, b"[" * 9_000),
    "payload is empty": lambda i: _paid(i, b""),
    "huge": lambda i: i.token(note="x" * 20_000),
    "five parts, as if encrypted": lambda i: i.token() + ".a.b",
    "two parts": lambda i: i.token().rpartition(".")[0],
    "padded": lambda i: i.token() + "=",
    "dots": lambda _: "..",
    "not ASCII": lambda i: i.token()[:-1] + "\xff",
    "a space inside": lambda i: i.token().replace(".", ". ", 1),
}
"""Tokens that must be refused, by what is wrong with them."""
