"""Times pdl and its peers on the same files; see run.py."""
