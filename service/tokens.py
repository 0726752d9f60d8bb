"""Bearer tokens: a JWT of the configured issuer becomes an Identity, and everything else becomes None.

The token's header chooses among the issuer's keys and the allowed algorithms, and has no other say: keys that it brings or points to
(`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import GuestProtocol, Key
from joserfc.jws import JWSRegistry

from indexes.directory import Directory, Identity, Role
from indexes.errors import AccessDenied, ConfigError
from indexes.settings import Settings
from indexes.vocabulary import Principal
from service.jwks import IssuerKeys

log = logging.getLogger("loremill.http")

_KINDS = ("user:", "agent:", "service:")
_TYPES = frozenset({"jwt", "at+jwt"})
"""Other types (`logout+jwt`, `dpop+jwt`) are the issuer's word as well, but not that somebody may come in."""


class Refused(ValueError):
    """The token does not hold. The text is for the log."""


class TokenVerifier:
    """Checks the tokens of one issuer for one audience.

    Args:
        settings: the `jwt_` fields, with `jwt_jwks` set.
        directory: where the groups come from if `jwt_groups` is `directory`.
        keys: the issuer's.
        clock: seconds since the epoch.
    """

    def __init__(
        self, settings: Settings, directory: Directory, keys: IssuerKeys, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._keys = keys
        self._algorithms = _Algorithms(algorithms=settings.jwt_algorithms, strict_check_header=False)
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=settings.jwt_leeway_s,
            iss={"essential": True, "value": settings.jwt_issuer},
            aud={"essential": True, "value": settings.jwt_audience},
            exp={"essential": True},
        )

    def identify(self, token: str) -> Identity | None:
        """Return who the token speaks for now; None if it does not hold, for whatever reason. Cost: one signature.

        Raises:
            IssuerUnavailable: there are no keys to check it with.
            IndexBackendError: the directory cannot be read.
        """
        try:
            claims = jwt.decode(token, self._key_for, registry=self._algorithms).claims
            self._claims.validate(claims)
            json.dumps(claims, ensure_ascii=False).encode()  # half a surrogate pair would be a 500 later on
            return self._identity(claims)
        except (JoseError, ConfigError, ValueError, TypeError, RecursionError) as error:
            log.info("a token was refused: %s: %.200r", type(error).__name__, str(error))
            return None

    def _key_for(self, token: GuestProtocol) -> Key:
        """Return the one key that the header may mean; joserfc then checks that the key is for that algorithm."""
        header = token.headers()
        if "crit" in header:
            raise Refused("crit: it demands an extension")
        if header.get("typ", "JWT").lower().removeprefix("application/") not in _TYPES:
            raise Refused("typ: it is made for something else")
        kind, kid = self._algorithms.get_alg(header["alg"]).key_type, header.get("kid")
        for again in (False, True):
            keys = [key for key in self._keys.current(again=again) if key.key_type == kind and kid in {None, key.kid}]
            if len(keys) == 1:
                return keys[0]
            if keys:
                raise Refused("kid: several keys fit")
        raise Refused("kid: no key fits")

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        settings = self._settings
        tenant, name = claims.get(settings.jwt_tenant_claim), claims.get(settings.jwt_subject_claim)
        if not isinstance(tenant, str) or not isinstance(name, str) or not name:
            raise Refused("tenant and subject must be text")
        subject = name if name.startswith(_KINDS) else f"user:{name}"
        if settings.jwt_groups == "directory":
            principal = self._directory.find_subject(tenant, subject)
            if principal is None:
                raise Refused("the subject is not in the directory")
        else:
            principal = Principal(tenant, subject, _groups(claims.get(settings.jwt_groups_claim)))
            try:
                self._directory.effective(principal)  # raises for a subject that the directory has deactivated
            except AccessDenied:
                raise Refused("the subject is deactivated") from None
        return Identity(principal, _role(claims.get(settings.jwt_role_claim)), f"jwt:{claims.get('jti', '')}")


def token_verifier(settings: Settings, directory: Directory) -> TokenVerifier | None:
    """Return the verifier that the settings ask for; None where tokens are not accepted."""
    if not settings.jwt_jwks:
        return None
    return TokenVerifier(settings, directory, IssuerKeys(settings.jwt_jwks, ttl_s=settings.jwt_jwks_ttl_s))


class _Algorithms(JWSRegistry):
    """The allowed algorithms; joserfc's own would also warn at each use of EdDSA, which is the issuer's choice."""

    max_header_length = 4_096
    max_payload_length = 16_384

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError("alg: not among those allowed")
        return self.algorithms[name]


def _groups(claim: Any) -> tuple[str, ...]:
    if claim is None:
        return ()
    if not isinstance(claim, list) or not all(isinstance(name, str) and name for name in claim):
        raise Refused("groups must be a list of names")
    return tuple(name if name.startswith("group:") else f"group:{name}" for name in claim)


def _role(claim: Any) -> Role:
    """Return the highest role of a claim, a name or a list of them; roles of other applications give nothing."""
    names = [claim] if isinstance(claim, str) else [] if claim is None else claim
    if not isinstance(names, list):
        raise Refused("role must be a name or a list of names")
    return max((role for role in Role if role in names), key=list(Role).index, default=Role.READER)
