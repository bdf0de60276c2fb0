"""What goes wrong on the way to a proxy is the proxy's, not the listed host's."""

from __future__ import annotations

from pdl.model import FailureKind
from pdl.settings import proxy_fault
from pdl.transport import TransportError
from pdl.urls import mask


def check(proxy: str, *, public_only: bool) -> None:
    """Refuse a proxy that cannot be asked, or may not be.

    Raises:
        TransportError: it is refused.
    """
    if public_only:
        raise TransportError(
            FailureKind.POLICY,
            "--public-only cannot see where a proxy connects to",
            transient=False,
        )
    if fault := proxy_fault(proxy):
        message = f"the proxy {mask(proxy)} {fault}; see --proxy and the environment"
        raise TransportError(FailureKind.CONNECT, message, transient=False)


def blamed(proxy: str, error: TransportError) -> TransportError:
    """The same failure as the proxy's, where no way to a host was found: it was to find the way."""
    if error.kind not in {FailureKind.DNS, FailureKind.CONNECT}:
        return error
    message = f"the proxy {mask(proxy)}: {error.message}"
    return TransportError(FailureKind.CONNECT, message, transient=error.transient)
