"""Answers carry no data out: a link or image that a planted document talked the model into must not reach a browser.

An image loads without a click, so its URL can carry whatever the model was told to put there. Visible text stays; what
a renderer would fetch, hide or reorder goes. Source: Greshake et al., arXiv:2302.12173, for the attack.
"""

from __future__ import annotations

import html
import re

from ingest.clean import strip_invisible

_HTML = (
    "a|abbr|applet|area|article|audio|b|base|blink|body|br|button|canvas|center|code|dd|del|details|div|dl|dt|em|"
    "embed|font|footer|form|frame|frameset|h[1-6]|head|header|hr|html|i|iframe|img|image|input|ins|kbd|label|li|"
    "link|main|map|marquee|math|meta|nav|noscript|object|ol|option|p|param|picture|pre|q|s|script|section|select|"
    "small|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|thead|"
    "title|tr|track|tt|u|ul|use|var|video|wbr"
)
_INLINE_LINK = re.compile(
    r"!?\[([^\[\]]*)\]\(\s*(?:<[^<>\n]*>|[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*\)"
)
_REFERENCE_IMAGE = re.compile(r"!\[([^\[\]]*)\](?:\[[^\[\]]*\])?(?!\()")
_DEFINITION = re.compile(r"^[ \t>]*\[[^\[\]\n]+\]:[ \t]*\n?[ \t]*\S+[^\n]*$", re.MULTILINE)
_TAG = re.compile(rf"</?(?:{_HTML})(?=[\s/>])[^<>]*>|<!--.*?-->|<[!?][^<>]*>", re.IGNORECASE | re.DOTALL)
_OPEN_TAG = re.compile(r"<(?=[a-zA-Z/!?])")
_AUTOLINK = re.compile(r"<((?:[a-zA-Z][a-zA-Z0-9+.-]*://|mailto:|www\.)[^<>\s]*)>", re.IGNORECASE)
_URL = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]*://|mailto:|www\.)[^\s<>\"'`)\]]+", re.IGNORECASE)
_ADDRESS = re.compile(r"://|www\.|mailto:", re.IGNORECASE)
_ASCII = "".join(map(chr, range(ord("!"), ord("~") + 1)))
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_SCRIPT_URL = re.compile(r"\b((?:javascript|vbscript)\s*:|data\s*:(?=[\w.+-]+/|[;,]))(?=\S)", re.IGNORECASE)
_LOADED = re.compile(
    r"!\[(?!\d{1,3}\])"  # an image, whatever its form; `![1]` is an exclamation with its marker
    r"|<\s*(?:img|image|svg|i?frame|frameset|object|embed|applet|video|audio|source|track|link|script|style|base|meta|form|input)\b"
    r"|<[a-zA-Z][^<>]{0,500}?[\s/\"'](?:src|srcset|style|background|poster|data|action|formaction|xlink:href|on[a-z]{3,30})\s*="
    r"|\b(?:javascript|vbscript):(?=\S)",
    re.IGNORECASE,
)
_ENDLESS = 50  # nested links deeper than this are broken up, not unwrapped


def is_loaded(markdown: str) -> bool:
    """Return whether a renderer would load or run something of `markdown` by itself, as it does an image or a script."""
    return bool(_LOADED.search(_legible(markdown)))


def sanitize(text: str) -> str:
    """Return generated Markdown with nothing in it that a renderer fetches, follows with data, or hides.

    Images and links become their visible text, link definitions and HTML tags go, bare URLs lose user, query and
    fragment, HTML entities become what they stand for, invisible characters go. Idempotent. `[1]` markers, emphasis,
    lists, tables and comparisons such as `a < b` stay as they are.
    """
    for _ in range(_ENDLESS):
        before = text
        text = _legible(text)
        text = _TAG.sub("", _AUTOLINK.sub(r"\1", text))
        text = _REFERENCE_IMAGE.sub(r"\1", _INLINE_LINK.sub(r"\1", text))
        text = _URL.sub(_bare, _DEFINITION.sub("", text))
        if text == before:
            break
    return _broken_up(text)


class DraftSanitizer:
    """Sanitizes a draft while it is written: what was handed out cannot become a link or an image by what follows.

    Words are held back until they are complete, addresses among them. Unlike `sanitize`, which sees the whole, it leaves a link's address
    beside its text, without query; a draft is shown for a moment only.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what can be shown now; may be empty."""
        self._held += strip_invisible(piece)
        cut = len(self._held.rstrip(_ASCII))
        if _ADDRESS.search(_legible(self._held[self._last_blank() :])):
            cut = self._last_blank()
        shown, self._held = self._held[:cut], self._held[cut:]
        return _disarmed(shown)

    def close(self) -> str:
        """Return what is still held."""
        shown, self._held = self._held, ""
        return _disarmed(shown)

    def _last_blank(self) -> int:
        return max(self._held.rfind(blank) for blank in " \n\t") + 1


def _disarmed(text: str) -> str:
    return _broken_up(_URL.sub(_bare, _legible(text))).replace("]:", "] :")


def _broken_up(text: str) -> str:
    """Part what would make a link, an image, a tag or a script's address."""
    text = _OPEN_TAG.sub("< ", text.replace("](", "] (").replace("![", "! ["))
    return _SCRIPT_URL.sub(r"\1 ", text)


def _legible(text: str) -> str:
    """The text as it looks: nothing invisible, HTML entities decoded, also where one hides in another."""
    for _ in range(_ENDLESS):
        before = text
        text = strip_invisible(_ENTITY.sub(lambda entity: html.unescape(entity[0]), text))
        if text == before:
            break
    return text


def _bare(found: re.Match[str]) -> str:
    """`scheme://user:secret@host/path?data#data` -> `scheme://host/path`, with the sentence's own punctuation kept."""
    url = found[0]
    tail = url[len(url.rstrip(".,;:!?")) :]
    url = re.split(r"[?#]|%3[fF]|%23", url, maxsplit=1)[0].rstrip(".,;:!")
    scheme, slashes, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}{tail if len(url) < len(found[0]) else ''}"
