"""Every name that a file can get, and which line gets it."""
