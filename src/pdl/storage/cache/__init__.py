"""The cache: bytes of files under their SHA-256, shared by runs and directories."""
