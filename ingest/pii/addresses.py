"""Addresses on the net: e-mail, URL, IPv4 and IPv6.

Each rule starts where its alphabet starts or at a sign that is rare, and looks no further than an address may be long,
so that the cost is linear also on text that was made to hurt. Addresses that are hidden from machines on purpose
("jane at example dot com") are not found, nor are quoted local parts and `user@[10.0.0.1]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address

from ingest.pii.spans import PiiSpan, near

MAX_LOCAL, MAX_DOMAIN = 64, 255
"""Characters of an address on either side of its @ (RFC 5321, 4.5.3.1)."""

_AT = re.compile("@|%40")
# Letters, but not of scripts whose words stand without blanks beside an address: Thai to Hangul.
_NO_LETTERS = r"\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u9fff\uac00-\ud7af\uf900-\ufaff"
_LOCAL_REVERSED = re.compile(rf"(?:_\\|[^\W{_NO_LETTERS}]|[.%+'’&~-])++")  # Markdown may write jane\_doe
_LABEL = rf"[^\W_{_NO_LETTERS}]++(?:-++[^\W_{_NO_LETTERS}]++)*+"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})++")
_RETINA = re.compile("[1-4]x[.]")  # logo@2x.png

_REST = r"[^\s<>\"`{}|\\^\[\]\u3000-\u303f\uff00-\uff0f\uff1a-\uff20]"
_URL = re.compile(
    rf"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{{1,15}}+://(?:[^\s/@\[\]]{{0,99}}@)?(?:\[[0-9A-Fa-f:.]{{2,45}}\])?{_REST}++"
    rf"|(?<![0-9A-Za-z_@.-])(?i:www\d{{0,3}}\.)[^\W_]{_REST}++"
)
# Without a scheme only endings that hardly are names of files, packages or products: `main.py` is no host in Paraguay,
# and `logger.info(` is no host at all.
_ENDINGS = (
    "com|org|net|edu|gov|mil|info|biz|eu|at|au|be|br|ca|ch|cn|co|cz|de|dk|ee|es|fi|fr|gr|hu|ie|io|it|jp|kr|nl|no|nz|pl|"
    "pt|ro|ru|se|sk|tr|tv|ua|uk|us|uy|za"
)
_HOST = re.compile(
    rf"(?<![0-9A-Za-z_@.%/\\-])(?:[A-Za-z0-9][A-Za-z0-9-]{{0,62}}+\.){{1,8}}(?:{_ENDINGS})"
    rf"(?![0-9A-Za-z_@(\[-]|\.\w| ?=)(?::\d{{2,5}})?(?:[/?#]{_REST}*+)?"
)
_CLOSING = ".,;:!?'’*_~"

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(
    rf"(?<![0-9A-Za-z_.])(?<![0-9][:-]){_OCTET}(?:\.{_OCTET}){{3}}(?![0-9A-Za-z_]|\.\w|-[0-9])(?:/(?:3[0-2]|[12]?[0-9])(?![\w.]))?"
)
_IPV6 = re.compile(
    r"(?<![0-9A-Za-z_:.])[0-9A-Fa-f:]{2,39}+(?:\.[0-9]{1,3}){0,3}(?![0-9A-Za-z_:])(?:/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9])(?![\w.]))?"
)
_NUMBERED = re.compile(
    r"(?i:\b(?:v|ver|version|release|rel|build|rev|revision|firmware|section|sect?\.|chapter|clause|article|figure|fig\.|table|step|item)"
    r"|§)[ .:#]{0,2}$"
)
_IP_WORDS = re.compile(
    r"(?i:\b(?:ip|ips|ipv4|ipv6|address|addresses|host|server|client|dns|gateway|subnet|router|ping|from)\b|_ip\b)"
)


def emails(text: str) -> Iterator[PiiSpan]:
    """Yield e-mail addresses, also where `@` is written `%40` as in a URL."""
    for at in _AT.finditer(text):
        domain = _domain(text, at.end())
        if not domain or _RETINA.match(domain):
            continue
        before = text[max(0, at.start() - MAX_LOCAL) : at.start()]
        local = _LOCAL_REVERSED.match(before[::-1])
        if not local:
            continue
        # Dots of a leader line, quotes and Markdown's signs stand before an address, never at its head.
        name = before[len(before) - local.end() :].lstrip("._%+'’&~-\\")
        if name and name[-1] != "." and name != "git":  # a service's account in `git@host:path`, nobody's mailbox
            yield PiiSpan("EMAIL_ADDRESS", at.start() - len(name), at.end() + len(domain), 1.0)


def urls(text: str) -> Iterator[PiiSpan]:
    """Yield URLs with a scheme or `www.`, and bare host names under well-known endings, with their paths."""
    for pattern, score in ((_URL, 0.9), (_HOST, 0.6)):
        for found in pattern.finditer(text):
            end = _without_closing(text, found.start(), found.end())
            if text[end - 3 : end] != "://":
                yield PiiSpan("URL", found.start(), end, score)


def ip_addresses(text: str) -> Iterator[PiiSpan]:
    """Yield IPv4 and IPv6 addresses, with a prefix length where one is given.

    Four numbers behind "version" or "section" score 0.2; four single digits, which number a chapter as often as a
    host, score 0.4 unless the words around them speak of a host.
    """
    for found in _IPV4.finditer(text):
        start, end = found.span()
        score = 0.8
        if _NUMBERED.search(text, max(0, start - 16), start):
            score = 0.2
        elif end - start == 7 and not near(_IP_WORDS, text, start, end):
            score = 0.4
        yield PiiSpan("IP_ADDRESS", start, end, score)
    for found in _IPV6.finditer(text):
        address, _, _ = found[0].partition("/")
        trimmed = address if address.endswith("::") else address.rstrip(":")
        if _is_ipv6(trimmed):
            end = found.end() if trimmed == address else found.start() + len(trimmed)
            yield PiiSpan("IP_ADDRESS", found.start(), end, 0.8)


def _domain(text: str, start: int) -> str:
    """Return the domain that begins at `start`, up to its last label that can be a top level; "" where there is none."""
    found = _DOMAIN.match(text, start, start + MAX_DOMAIN)
    labels = found[0].split(".") if found else []
    while labels and not (labels[-1].startswith("xn--") or (len(labels[-1]) > 1 and labels[-1].isalpha())):
        labels.pop()
    return ".".join(labels) if len(labels) > 1 else ""


def _without_closing(text: str, start: int, end: int) -> int:
    """Return the end of a URL without the punctuation of the sentence and of the Markdown around it."""
    surplus = text.count(")", start, end) - text.count("(", start, end)
    while end > start and (text[end - 1] in _CLOSING or (text[end - 1] == ")" and surplus > 0)):
        surplus -= text[end - 1] == ")"
        end -= 1
    return end


def _is_ipv6(address: str) -> bool:
    # A digit, lest `a::b` of a program counts; two colons, because no address has fewer.
    if address.count(":") < 2 or not any(map(str.isdigit, address)):
        return False
    try:
        IPv6Address(address)
    except AddressValueError:
        return False
    return True
