"""What an answer's head means for an attempt, whichever way it came."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pdl.model import Fail, FailureKind
from pdl.retry import retry_after
from pdl.settings import RETRY_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_PAGE = re.compile(
    r"\.(zip|gz|tgz|bz2|tbz2?|xz|txz|zst|lz4?|7z|rar|tar|whl|egg|jar|war|deb|rpm|apk|msi|exe|dmg|"
    r"pkg|iso|img|qcow2|png|jpe?g|gif|webp|avif|tiff?|bmp|ico|pdf|mp[34]|mkv|webm|flac|ogg|"
    r"parquet|npz|npy|h5|onnx|safetensors|gguf|bin|so|wasm|crate|gem)$",
    re.IGNORECASE,
)
"""Names whose content is never an HTML page."""


class AttemptFailed(Exception):
    """Ends the attempt from within; becomes a `Fail`."""

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        transient: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.transient = transient
        self.status = status
        self.retry_after = retry_after

    def as_fail(self, task_id: int) -> Fail:
        """The answer that says so."""
        return Fail(
            "fail",
            task_id,
            self.kind,
            self.transient,
            self.message,
            status=self.status,
            retry_after=self.retry_after,
        )


def refusal(status: int, reason: str, header: Callable[[str], str | None]) -> AttemptFailed:
    """How an attempt ends whose answer has a status that brings no file.

    Args:
        status: of the answer; no redirect.
        reason: the server's words for it.
        header: gives a field's value, or None.
    """
    return AttemptFailed(
        FailureKind.HTTP,
        f"the server answered {status} {reason}".rstrip(),
        transient=status in RETRY_STATUSES,
        status=status,
        retry_after=retry_after(header("retry-after"), header("date")),
    )


def is_page_instead(path: str, header: Callable[[str], str | None]) -> bool:
    """Whether an HTML page came where the name promises something else."""
    media = header("content-type")
    if media is None or "html" not in media.lower():
        return False
    kind = media.partition(";")[0].strip().lower()
    return kind == "text/html" and _NO_PAGE.search(path) is not None
