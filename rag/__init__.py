"""Answers out: retrieve -> pack -> generate -> verify.

from rag import Loremill, Principal
"""

from typing import TYPE_CHECKING, Any

from indexes.vocabulary import Acl, Hit, Principal
from rag.loremill import Loremill

if TYPE_CHECKING:
    from rag.grounding import Support, check_support

__all__ = ["Acl", "Hit", "Loremill", "Principal", "Support", "check_support"]


def __getattr__(name: str) -> Any:
    """Import what needs numpy when it is asked for: `import rag` stays fast."""
    if name in {"Support", "check_support"}:
        from rag import grounding

        return getattr(grounding, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
