"""HTML as a reader sees it: scripts, navigation and invisible elements go, structure stays.

Not through unstructured: on the sample documents it turns a page laid out with tables into one cell, keeps elements
that are not displayed, and guesses titles from the wording; lxml's tree says what is a heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from indexes.errors import ParseError
from ingest.parsers import Parsed, blocks
from ingest.parsers.plain import decode

_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE
)
_INVISIBLE_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(hidden|collapse)"
    r"|opacity\s*:\s*0(\.0+)?\s*(;|!|$)|font-size\s*:\s*0(\.0+)?\s*(px|pt|r?em|%|;|!|$)",
    re.IGNORECASE,
)
_CSS_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden")
_DROPPED = frozenset(
    [
        "script",
        "style",
        "template",
        "noscript",
        "head",
        "nav",
        "svg",
        "math",
        "iframe",
        "object",
        "embed",
        "canvas",
        "audio",
        "video",
        "button",
        "select",
        "input",
        "textarea",
        "datalist",
        "dialog",
        "link",
        "meta",
        "base",
        "map",
    ]
)
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "br",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "ins",
        "kbd",
        "label",
        "mark",
        "picture",
        "q",
        "ruby",
        "rp",
        "rt",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)
_NO_TEXT = frozenset(["script", "style", "head", "svg", "math"])
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def parse_html(data: bytes) -> Parsed:
    """A page: its `<title>`, its language if stated, and what is displayed of its body."""
    match = _CHARSET.search(data[:4096])
    return html_to_markdown(decode(data, declared=match.group(1).decode("ascii", "replace") if match else None))


def html_to_markdown(text: str) -> Parsed:
    """Return the displayed text of a page or a fragment as Markdown.

    Elements nested some hundreds deep give their text without structure.

    Raises:
        ParseError: they are nested so deeply (2,048) that lxml reads no further.
    """
    from lxml import html

    # lxml refuses text that declares its own encoding, and null characters.
    text = re.sub(r"^\s*<\?xml[^>]{0,500}\?>", "", text).replace("\x00", "")
    if not text.strip():
        return Parsed("", "")
    parser = html.HTMLParser(remove_comments=True, remove_pis=True, huge_tree=True)
    root = html.document_fromstring(text, parser=parser, ensure_head_body=True)
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        raise ParseError("the elements are nested too deeply")
    page = _Page(root)
    try:
        body = blocks.join(page.blocks(root))
    except RecursionError:
        body = page.flat(root)
    title = blocks.inline(root.findtext(".//title") or "") or page.first_heading
    language = root.get("lang")
    comments = (part.partition("-->")[0] for part in text.split("<!--")[1:])
    hidden = "\n\n".join([*comments, *page.unseen(root)])
    return Parsed(title, body, {"language": language} if language else {}, hidden=hidden)


class _Page:
    def __init__(self, root: Any) -> None:
        css = " ".join(style.text or "" for style in root.iter("style"))
        self.hidden_selectors = _hidden_selectors(css)
        self.first_heading = ""

    def blocks(self, element: Any) -> Iterator[str]:
        """The blocks inside `element`; text and inline elements between two block elements make one paragraph."""
        line = [element.text or ""]
        for child in element:
            if isinstance(child.tag, str) and not self.hidden(child):
                if child.tag in _INLINE and not any(
                    d.tag in _HEADINGS or d.tag in {"p", "div", "table", "ul"} for d in child.iter()
                ):
                    line.append(self.inline(child))
                else:
                    yield blocks.paragraph(_collapse(line))
                    line = []
                    yield from self.block(child)
            line.append(child.tail or "")
        yield blocks.paragraph(_collapse(line))

    def block(self, element: Any) -> Iterator[str]:
        tag = element.tag
        if tag in _HEADINGS:
            text = blocks.inline(self.inline(element).replace("\ue000", " "))
            self.first_heading = self.first_heading or text
            yield blocks.heading(text, _HEADINGS[tag])
        elif tag in {"ul", "ol", "menu", "dir"}:
            yield from self.items(element)
        elif tag == "table":
            yield from self.table(element)
        elif tag == "pre":
            yield blocks.code("".join(self.pre(element)))
        elif tag == "dl":
            yield from self.definitions(element)
        elif tag == "blockquote":
            yield "\n".join(f"> {line}".rstrip() for line in blocks.join(self.blocks(element)).split("\n"))
        else:
            yield from self.blocks(element)

    def items(self, element: Any) -> Iterator[str]:
        start = element.get("start", "1")
        number = int(start) if element.tag == "ol" and start.isascii() and start.isdigit() and len(start) < 9 else 1
        for child in element:
            if not isinstance(child.tag, str) or self.hidden(child):
                continue
            if child.tag in {"ul", "ol"}:  # a list straight inside a list, as old editors write it
                yield from ("  " + part.replace("\n", "\n  ") for part in self.items(child))
                continue
            parts = [part for part in self.blocks(child) if part]
            if parts and child.tag == "li":
                text = "\n".join(parts) if len(parts) < 9 else blocks.join(parts)
                yield blocks.item(text, number=number if element.tag == "ol" else None)
                number += 1
            else:
                yield from parts

    def definitions(self, element: Any) -> Iterator[str]:
        term = ""
        for child in element.iter("dt", "dd"):
            if self.hidden(child):
                continue
            text = blocks.join(self.blocks(child))
            if child.tag == "dt":
                term = f"{term}, {text}" if term else text
            elif text or term:
                yield blocks.item(f"{term}: {text}" if term else text)
                term = ""
        if term:
            yield blocks.item(term)

    def table(self, element: Any) -> Iterator[str]:
        """A pipe table; a table that lays out the page, or holds a single cell, becomes its content."""
        rows = [
            row for row in element.iter("tr") if next(row.iterancestors("table")) is element and not self.hidden(row)
        ]
        cells = [[cell for cell in row if cell.tag in {"td", "th"} and not self.hidden(cell)] for row in rows]
        inner = {"table", "ul", "ol", "pre", *_HEADINGS}
        layout = element.get("role") == "presentation" or max(map(len, cells), default=0) <= 1
        if layout or any(inner & {child.tag for child in cell.iterdescendants()} for row in cells for cell in row):
            for cell in (cell for row in cells for cell in row):
                yield from self.blocks(cell)
            return
        for caption in element.iterchildren("caption"):
            yield from self.blocks(caption)
        yield blocks.table(self.grid(cells))

    def grid(self, cells: list[list[Any]]) -> Iterator[list[str]]:
        """Text by row and column; a cell that spans rows is repeated, for each row must be understood alone."""
        below: dict[int, tuple[int, str]] = {}
        for row in cells:
            line: list[str] = []
            waiting = iter(row)
            for cell in waiting:
                while below.get(len(line), (0, ""))[0]:
                    line.append(_take(below, len(line)))
                text = blocks.inline(" ".join(self.blocks(cell)))
                high, wide = _span(cell, "rowspan"), _span(cell, "colspan")
                for offset in range(wide):
                    if high > 1:
                        below[len(line)] = (high - 1, text if offset == 0 else "")
                    line.append(text if offset == 0 else "")
            while below.get(len(line), (0, ""))[0]:
                line.append(_take(below, len(line)))
            yield line

    def flat(self, root: Any) -> str:
        """The displayed text alone, by a walk that no depth can exhaust."""
        texts: list[str] = []
        waiting: list[Any] = [root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, str):
                texts.append(node)
            elif isinstance(node.tag, str) and not self.hidden(node):
                texts.append(node.text or "")
                for child in reversed(node):
                    waiting += [child.tail or "", child]
        return blocks.paragraph("\n".join(text for text in map(blocks.inline, texts) if text))

    def unseen(self, root: Any) -> Iterator[str]:
        """The text of what is not displayed, and the images that are loaded; not what is no text, such as scripts."""
        waiting: list[Any] = [root]
        while waiting:
            node = waiting.pop()
            if not isinstance(node.tag, str) or node.tag in _NO_TEXT:
                continue
            if node.tag == "img":
                yield f'<img src="{node.get("src") or ""}">'
            elif node is not root and self.hidden(node):
                yield " ".join("".join(node.itertext()).split())
            else:
                waiting += reversed(node)

    def inline(self, element: Any) -> str:
        if element.tag == "img":
            return f" {element.get('alt') or ''} "
        if element.tag in {"br", "wbr"}:
            return "\ue000" if element.tag == "br" else ""
        parts = [element.text or ""]
        for child in element:
            if isinstance(child.tag, str) and not self.hidden(child):
                parts.append(self.inline(child) if child.tag in _INLINE else f" {self.inline(child)} ")
            parts.append(child.tail or "")
        text = "".join(parts)
        return (
            f"`{text}`" if element.tag in {"code", "kbd", "samp", "tt"} and text.strip() and "`" not in text else text
        )

    def pre(self, element: Any) -> Iterator[str]:
        yield element.text or ""
        for child in element:
            if isinstance(child.tag, str) and not self.hidden(child):
                yield from ["\n"] if child.tag == "br" else self.pre(child)
            yield child.tail or ""

    def hidden(self, element: Any) -> bool:
        """What is not displayed: text that a person does not see must not reach a model either."""
        tag = element.tag.lower()
        if (
            tag in _DROPPED
            or element.get("hidden") is not None
            or element.get("aria-hidden", "").strip().lower() == "true"
        ):
            return True
        if _INVISIBLE_STYLE.search(element.get("style", "")):
            return True
        own = [f"#{element.get('id', '')}", *(f".{name}" for name in element.get("class", "").split())]
        return not self.hidden_selectors.isdisjoint(own)


def _hidden_selectors(css: str) -> frozenset[str]:
    """The plain `.class` and `#id` selectors whose elements are not displayed."""
    rules = (rule.rpartition("{") for rule in re.sub(r"(?s)/\*.*?(?:\*/|\Z)", "", css).split("}"))
    hiding = (selectors for selectors, _, style in rules if _CSS_HIDDEN.search(style))
    names = (name.strip() for selectors in hiding for name in selectors.rpartition("{")[2].split(","))
    return frozenset(name for name in names if re.fullmatch(r"[.#][\w-]+", name))


def _collapse(parts: list[str]) -> str:
    """Join inline text; only `<br>` breaks a line."""
    return "\n".join(map(blocks.inline, "".join(parts).split("\ue000")))


def _take(below: dict[int, tuple[int, str]], column: int) -> str:
    left, text = below[column]
    below[column] = (left - 1, text)
    return text


def _span(cell: Any, name: str) -> int:
    value = cell.get(name, "1")
    return min(max(int(value), 1), 100) if value.isascii() and value.isdigit() and len(value) < 9 else 1
