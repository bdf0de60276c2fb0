"""The output directory: parts, their notes, the state database, the cache."""
