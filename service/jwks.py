"""The issuer's public keys: fetched, kept for a while, and fetched again when they may have changed."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, RSAKey

from indexes.errors import IssuerUnavailable

log = logging.getLogger("loremill.http")

RETRY_S = 5.0
"""Least time between two fetches, however many tokens name a key that nobody knows."""
GRACE_TTLS = 10
"""For so many times the ttl the last good set holds while it cannot be fetched."""
_TIMEOUT_S = 3.0
_MOST_BYTES = 262_144
_LEAST_RSA_BITS = 2048


class IssuerKeys:
    """The keys of one JWKS, as of at most `ttl_s` ago while it can be fetched. Safe among threads.

    Args:
        source: an http(s) URL, or the path of a file.
        ttl_s: a key that the issuer withdrew is known for no longer than this.
        clock: seconds, monotonic.
    """

    def __init__(self, source: str, *, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._ttl_s = ttl_s
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._loaded = self._tried = float("-inf")
        self._failing = False
        self._lock = threading.Lock()
        if source.startswith("http://"):
            log.warning("the issuer's keys come over plain http: whoever can change them on the way can sign tokens")

    def current(self, *, again: bool = False) -> tuple[Key, ...]:
        """Return the keys that may check signatures.

        Args:
            again: fetch them even within the ttl, though never twice within `RETRY_S`.
        Raises:
            IssuerUnavailable: they were never fetched, or longer ago than the grace.
        """
        if again or self._clock() - self._loaded > self._ttl_s:
            self._refresh()
        if self._clock() - self._loaded > self._ttl_s * GRACE_TTLS:
            raise IssuerUnavailable("the issuer's keys cannot be fetched; try again", retry_after_s=RETRY_S)
        return self._keys

    def _refresh(self) -> None:
        """Fetch, one thread at a time. The others wait for the result, except where the last fetch failed as well:
        an issuer that is down must not stop every thread of the server for each time-out.
        """
        if not self._lock.acquire(blocking=not self._failing):
            return
        try:
            if self._clock() - self._tried < RETRY_S:
                return
            self._tried = self._clock()
            self._keys = usable_keys(_read(self._source))
            self._loaded, self._failing = self._tried, False
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RecursionError) as error:
            self._failing = True
            log.error("the issuer's keys cannot be fetched from %s: %s", self._source, error)
        finally:
            self._lock.release()


def usable_keys(document: bytes) -> tuple[Key, ...]:
    """Return the keys of a JWKS that may check signatures; the others are passed over, as RFC 7517 asks.

    An empty list is an answer as well: the issuer has withdrawn every key.

    Raises:
        ValueError: it is no JWKS.
    """
    entries = json.loads(document)
    entries = entries.get("keys") if isinstance(entries, dict) else None
    if not isinstance(entries, list):
        raise ValueError('not a JWKS: it must be {"keys": [...]}')
    keys = tuple(key for key in map(_import, entries) if key is not None)
    if not keys:
        log.warning("the issuer's JWKS has no key that may check signatures")
    return keys


def _import(entry: Any) -> Key | None:
    """Return a key of a pair that is meant for signatures and is not too weak; else None."""
    try:
        if entry["kty"] not in {"RSA", "EC", "OKP"}:  # `oct` is a shared secret: who has it could sign
            return None
        key = JWKRegistry.import_key(entry)
        key.check_use("sig")
        key.check_key_op("verify")
        if isinstance(key, RSAKey) and key.public_key.key_size < _LEAST_RSA_BITS:
            raise ValueError("too short a key")
    except (JoseError, UnsupportedAlgorithm, LookupError, TypeError, ValueError) as error:
        log.warning("a key of the issuer's JWKS is passed over: %s", error)
        return None
    return key


def _read(source: str) -> bytes:
    """Return the file or what the URL gives, without following redirects.

    Raises:
        ValueError: it is too large or too slow, or not a 200.
    """
    if not source.startswith(("http://", "https://")):
        with Path(source).expanduser().open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    else:
        content = _fetch(source)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    return content


def _fetch(url: str) -> bytes:
    content = b""
    ends = time.monotonic() + _TIMEOUT_S
    plain = {"Accept": "application/json", "Accept-Encoding": "identity"}  # no bytes that unpack to many more
    with httpx.stream("GET", url, headers=plain, timeout=_TIMEOUT_S, follow_redirects=False) as response:
        if response.status_code != 200:
            raise ValueError(f"status {response.status_code}")
        for piece in response.iter_raw():
            content += piece
            if time.monotonic() > ends:  # a time-out of httpx counts from one piece to the next
                raise ValueError(f"it took more than {_TIMEOUT_S:g} s")
            if len(content) > _MOST_BYTES:
                break
    return content
