"""HTTP over connections that are kept."""
