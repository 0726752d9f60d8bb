"""URLs of sources: a password stands in one only as `${NAME}`, which the environment fills in when it is opened."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from indexes.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_USER_INFO = re.compile(r"(?<=://)[^/?#]*@")
_PASSWORD = re.compile(r"://[^:/?#@]*:([^@]*)@")  # as SQLAlchemy reads it: it may hold a slash
_SECRET_KEY = re.compile(
    r"(?:.*(?:password|passwd|pwd|secret|token|signature|credential|api_?key|access_?key).*|sig|key|auth|pass)",
    re.IGNORECASE | re.DOTALL,
)
_SECRET_WITHIN = re.compile(r"(?:password|passwd|pwd|secret)\s*=\s*(?!\$\{)", re.IGNORECASE)  # of an ODBC string
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*(?=://)")


def scheme_of(location: str) -> str | None:
    """Return the scheme of a URL in lower case; None for a path."""
    found = _SCHEME.match(location)
    return found[0].lower() if found else None


@dataclass(frozen=True, slots=True)
class SourceUrl:
    """A URL as it was written, possibly a chain such as `zip://*.md::s3://bucket/archive.zip`.

    Raises:
        ConfigError: a password or token stands in it; it would be kept with the source.
    """

    written: str

    def __post_init__(self) -> None:
        for part in self.written.split("::"):
            if _has_literal_secret(part):
                raise ConfigError(
                    f"{scheme_of(part)}: the URL holds a password or token in plain text, which would be stored; put it "
                    "into an environment variable and write its name instead, such as scheme://user:${DB_PASSWORD}@host/"
                )

    @property
    def public(self) -> str:
        """For people: without a user's name and password."""
        return "::".join(_without_user(part) for part in self.written.split("::"))

    def expanded(self) -> str:
        """With the environment's values in place of the references; never to be shown or stored.

        Raises:
            ConfigError: a variable is not set.
        """
        return "::".join(self._expand(part) for part in self.written.split("::"))

    def scrub(self, text: str) -> str:
        """Return a library's message without the values that it may quote."""
        for name in sorted(set(_REFERENCE.findall(self.written))):
            value = os.environ.get(name, "")
            for form in {value, quote(value, safe=""), quote_plus(value)} - {""}:
                text = text.replace(form, f"${{{name}}}")
        return text

    def _expand(self, part: str) -> str:
        head, mark, query = part.partition("?")
        head = _USER_INFO.sub(lambda user: _REFERENCE.sub(self._value, user[0]), head)
        return head + mark + _REFERENCE.sub(self._value, query)

    def _value(self, reference: re.Match[str]) -> str:
        value = os.environ.get(reference[1])
        if value is None:
            raise ConfigError(f"{self.public}: the environment variable {reference[1]} is not set")
        return quote(value, safe="")


def _without_user(part: str) -> str:
    user = _USER_INFO.search(part)
    return _USER_INFO.sub("", part) if user and (":" in user[0] or "${" in user[0]) else part


def _has_literal_secret(part: str) -> bool:
    try:
        url = urlsplit(part)
    except ValueError as error:
        raise ConfigError(f"not a valid URL: {error}") from error
    if url.scheme.startswith("http"):
        secret = url.password or url.username  # a token is often given in a user's place
    else:
        found = _PASSWORD.search(part)
        secret = found[1] if found else None
    values = [value for key, value in parse_qsl(url.query, keep_blank_values=True) if _SECRET_KEY.fullmatch(key)]
    values += [value for _, value in parse_qsl(url.query) if _SECRET_WITHIN.search(value)]
    return any(value and not _REFERENCE.fullmatch(value) for value in (secret, *values))
