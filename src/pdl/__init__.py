"""pdl: download a list of URLs, fast, and say at the end exactly what failed and why."""

from pdl._version import __version__

__all__ = ["__version__"]
