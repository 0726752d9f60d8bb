"""Memory's parts: what an item is, who may see it, how facts come out of episodes, how they are found, packed and forgotten."""
