"""Answers carry no data out: a link or image that a planted document talked the model into must not reach a browser.

An image loads without a click, so its URL can carry whatever the model was told to put there. Visible text stays; what
a renderer would fetch, hide or reorder goes. Source: Greshake et al., arXiv:2302.12173, for the attack.
"""

from __future__ import annotations

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
_ENDLESS = 50  # nested links deeper than this are broken up, not unwrapped


def sanitize(text: str) -> str:
    """Return generated Markdown with nothing in it that a renderer fetches, follows with data, or hides.

    Images and links become their visible text, link definitions and HTML tags go, bare URLs lose user, query and
    fragment, invisible characters go. Idempotent. `[1]` markers, emphasis, lists, tables and comparisons such as
    `a < b` stay as they are.
    """
    text = strip_invisible(text)
    for _ in range(_ENDLESS):
        before = text
        text = _TAG.sub("", _AUTOLINK.sub(r"\1", text))
        text = _REFERENCE_IMAGE.sub(r"\1", _INLINE_LINK.sub(r"\1", text))
        text = _URL.sub(_bare, _DEFINITION.sub("", text))
        if text == before:
            break
    return _OPEN_TAG.sub("< ", text.replace("](", "] (").replace("![", "! ["))


def _bare(found: re.Match[str]) -> str:
    """`scheme://user:secret@host/path?data#data` -> `scheme://host/path`, with the sentence's own punctuation kept."""
    url = found[0]
    tail = url[len(url.rstrip(".,;:!?")) :]
    url = re.split(r"[?#]", url, maxsplit=1)[0].rstrip(".,;:!")
    scheme, slashes, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}{tail if len(url) < len(found[0]) else ''}"
