"""An identity provider with real keys, whose JWKS comes over HTTP."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

ISSUER, AUDIENCE = "https://login.halden.example", "loremill"
SETTINGS = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}


@cache
def make_key(kind: str, kid: str | None, **parameters: str) -> Key:
    """Return a key pair; the same for the same arguments, as making one takes a while."""
    named = parameters if kid is None else {"kid": kid, **parameters}
    if kind == "RSA":
        return RSAKey.generate_key(2048, named)  # type: ignore[arg-type]
    if kind == "OKP":
        return OKPKey.generate_key("Ed25519", named)  # type: ignore[arg-type]
    return ECKey.generate_key(kind, named)  # type: ignore[arg-type]


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class Issuer(ThreadingHTTPServer):
    """Signs with `keys[0]` and publishes `keys`; `asked` counts fetches.

    `answer` replaces the document. `delay_s` goes before an answer, `pause_s` between its pieces of `piece` bytes, and
    while `hold` is locked there is none.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Jwks)
        self.keys = [make_key("RSA", "one"), make_key("P-256", "two"), make_key("OKP", "three")]
        self.clock: Callable[[], float] = time.time
        self.asked = 0
        self.answer: tuple[int, bytes] | None = None
        self.delay_s = self.pause_s = 0.0
        self.piece = 1_000_000
        self.arrived = threading.Event()
        self.hold = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/jwks"

    def document(self) -> bytes:
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()

    def claims(self, **change: Any) -> dict[str, Any]:
        """Return claims that hold, changed; None takes one away."""
        now = int(self.clock())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "tenant": "halden", "groups": ["finance"],
            "iat": now, "nbf": now, "exp": now + 600,
        }  # fmt: skip
        return {name: value for name, value in (claims | change).items() if value is not None}

    def token(
        self, *, key: Key | None = None, alg: str = "RS256", header: dict[str, Any] | None = None, **change: Any
    ) -> str:
        """Return a signed token; `header` is added to `alg` and the key's `kid`, and None takes a field away."""
        key = key or self.keys[0]
        fields = {"typ": "JWT", "alg": alg, "kid": key.kid} | (header or {})
        fields = {name: value for name, value in fields.items() if value is not None}
        return sign(fields, self.claims(**change), key, alg)


class _Jwks(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        issuer = self.server
        assert isinstance(issuer, Issuer)
        issuer.asked += 1
        issuer.arrived.set()
        time.sleep(issuer.delay_s)
        with issuer.hold:
            pass
        good = (200, issuer.document())
        status, body = good if self.path.endswith("/elsewhere") else issuer.answer or good
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status in {301, 302}:
            self.send_header("Location", f"{issuer.url}/elsewhere")
        self.end_headers()
        with suppress(OSError):  # who asked may have gone
            for start in range(0, len(body), issuer.piece):
                self.wfile.write(body[start : start + issuer.piece])
                time.sleep(issuer.pause_s)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        threading.Thread(target=issuer.serve_forever, args=(0.01,), daemon=True).start()
        yield issuer
        issuer.shutdown()


def b64(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def sign(header: Any, payload: Any, key: Key, alg: str = "RS256") -> str:
    """Return header and payload, each bytes or JSON, with a signature that holds, whatever they say."""
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(jws.JWSRegistry.algorithms[alg].sign(signed.encode(), key))}"
