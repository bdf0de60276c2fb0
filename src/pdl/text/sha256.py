"""SHA-256 of short texts, such as URLs and names.

`hashlib` loads OpenSSL, which takes 3 ms in each process, and OpenSSL needs twice as long for a
text of this size. Python has an implementation of its own beside it, which `random` uses for the
same reason. A Python may be built without that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256
    except ImportError:
        try:  # before Python 3.12
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256

__all__ = ["sha256"]
