"""Over the wire: the command line and HTTP. Both are thin; every answer comes through `rag.loremill.Loremill`."""
