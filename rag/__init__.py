"""Answers out: retrieve -> pack -> generate -> verify.

from rag import Loremill, Principal
"""

from indexes.vocabulary import Acl, Hit, Principal
from rag.grounding import Support, check_support
from rag.loremill import Loremill

__all__ = ["Acl", "Hit", "Loremill", "Principal", "Support", "check_support"]
