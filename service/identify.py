"""Who a request speaks for: a bearer's secret becomes an Identity, and an administrator may ask as somebody else."""

from __future__ import annotations

from indexes.directory import Directory, Identity, Role
from indexes.errors import AccessDenied, ConfigError
from indexes.vocabulary import Principal
from service.tokens import TokenVerifier


class Identifier:
    """Turns headers into identities.

    Args:
        directory: the principals and API keys.
        tokens: checks JWTs; None refuses them all.
    """

    def __init__(self, directory: Directory, tokens: TokenVerifier | None) -> None:
        self._directory = directory
        self._tokens = tokens

    def identify(self, secret: str) -> Identity | None:
        """Return who an API key or a JWT speaks for now; None if it does not hold.

        Raises:
            IssuerUnavailable: it may be a JWT, and there are no keys to check it with.
            IndexBackendError: the directory cannot be read.
        """
        if "." not in secret:  # an API key has none, a JWT always has
            return self._directory.authenticate(secret)
        return None if self._tokens is None else self._tokens.identify(secret)

    def act_as(self, administrator: Identity, wanted: bytes) -> Identity:
        """Return the identity of an administrator who asks as `wanted`: with that principal's rights, and as a reader.

        Args:
            wanted: an imported name, or a literal `tenant/user:x,group:y`, in UTF-8.
        Raises:
            AccessDenied: no administrator, another tenant, no such name, no such form: always the same text.
        """
        principal = self._principal(wanted) if administrator.role.includes(Role.ADMINISTRATOR) else None
        if principal is None or principal.tenant != administrator.principal.tenant:
            raise AccessDenied(administrator.principal, "this key or token may not act as that principal")
        return Identity(principal, Role.READER, administrator.key_id, actor=administrator.principal.subject)

    def _principal(self, wanted: bytes) -> Principal | None:
        try:
            return self._directory.resolve(wanted.decode().strip())
        except (AccessDenied, ConfigError, UnicodeDecodeError):
            return None
