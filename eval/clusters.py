"""Which questions hang together: those that one document answers stand or fall together."""

from __future__ import annotations

from collections.abc import Sequence


def document_clusters(documents: Sequence[Sequence[str]]) -> list[str]:
    """Return each question's cluster: questions that share a document, directly or by way of other questions, are in one.

    A question without documents (one that has no answer) is a cluster of its own.

    Args:
        documents: the reference documents of each question.
    Returns:
        Names, equal within a cluster; `document:...` or `question:...`.
    """
    leader: dict[str, str] = {}

    def find(document: str) -> str:
        while leader.setdefault(document, document) != document:
            leader[document] = leader[leader[document]]
            document = leader[document]
        return document

    for names in documents:
        for name in names[1:]:
            one, other = sorted((find(names[0]), find(name)))
            leader[other] = one
    return [f"document:{find(names[0])}" if names else f"question:{place}" for place, names in enumerate(documents)]
