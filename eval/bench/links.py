"""Known-item queries out of a handbook's own links: the sentence in which one page points at another asks for that other.

People wrote the sentences, to tell readers what stands behind the link. Since the words of a link often repeat the title of the page it
leads to, which favours whatever is embedded with its title, there are two sets: the sentence, and the sentence without its links' words.
Source: anchor texts as queries, Dang and Croft, WSDM 2010.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_LINK = re.compile(r"""\[([^\[\]]{1,300})\]\(\{%-?\s?page\s?["']([^"'\s]{1,300})["']\s?-?%\}\)""")
_ADDRESS = re.compile(r"\]\([^()\n]{0,500}\)")
_OWN_ADDRESS = re.compile(r"(?m)^(?:permalink:|redirect_from:|  - )[ \t]*(/\S+)[ \t]*$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_MARKS = re.compile(r"[*_`#>|\[\]]+|^\s*[-+\d.)]+\s")
_HELD = re.compile(r"\x00(\d{1,6})\x00")


@dataclass(frozen=True, slots=True)
class LinkQuery:
    """A sentence of page `source` and the pages it points at; `masked` is without the words of its links."""

    text: str
    masked: str
    source: str
    targets: tuple[str, ...]


def link_queries(pages: Mapping[str, str], *, min_words: int = 5) -> list[LinkQuery]:
    """Return a query for each sentence that links to other pages of `pages`, which maps paths to raw Markdown.

    Sentences that keep fewer than `min_words` words without their links are left out of both sets, so that the two hold the same queries.
    """
    addresses = {address: path for path, text in pages.items() for address in _addresses(path, text)}
    queries: dict[tuple[str, tuple[str, ...]], LinkQuery] = {}
    for path, text in pages.items():
        for query in _page_queries(path, text, addresses):
            if len(query.masked.split()) >= min_words:
                queries.setdefault((query.masked, query.targets), query)
    return list(queries.values())


def _page_queries(path: str, text: str, addresses: Mapping[str, str]) -> Iterator[LinkQuery]:
    links = _LINK.findall(text)
    numbers = iter(range(len(links)))
    held = _ADDRESS.sub("]", _LINK.sub(lambda _match: f"\x00{next(numbers)}\x00", text))
    for sentence in _SENTENCE_END.split(held):
        inside = [links[int(number)] for number in _HELD.findall(sentence)]
        found = {addresses.get(_canonical(address), "") for _, address in inside} - {"", path}
        if found:
            words = _HELD.sub(lambda match: links[int(match.group(1))][0], sentence)
            yield LinkQuery(_plain(words), _plain(_HELD.sub(" ", sentence)), path, tuple(sorted(found)))


def _addresses(path: str, text: str) -> set[str]:
    """The addresses under which a page is linked: its path, its permalink and those that are redirected to it."""
    head = text[: text.find("\n---", 3)] if text.startswith("---") else ""
    own = path.removesuffix(".md").removesuffix("/index")
    return {_canonical(own), *(_canonical(address) for address in _OWN_ADDRESS.findall(head))}


def _canonical(address: str) -> str:
    return address.partition("#")[0].strip("/").lower()


def _plain(sentence: str) -> str:
    return " ".join(_MARKS.sub(" ", sentence).split())
