"""Erasing for good, one small eraser for each kind of storage; `rag.erasing` runs them."""
