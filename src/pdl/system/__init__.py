"""What the operating system offers beyond Python's `os`."""
