"""Options of aria2's input file that pdl knows to mean nothing here.

aria2 allows some hundred of its options below a URL, and lists that programs write have many of
them. What they ask for, pdl does by itself, or an option of the run says it for all files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES = """
    all-proxy all-proxy-passwd all-proxy-user allow-overwrite allow-piece-length-change
    always-resume async-dns auto-file-renaming bt-enable-hook-after-hash-check bt-enable-lpd
    bt-exclude-tracker bt-external-ip bt-force-encryption bt-hash-check-seed
    bt-load-saved-metadata bt-max-peers bt-metadata-only bt-min-crypto-level bt-prioritize-piece
    bt-remove-unselected-file bt-request-peer-speed-limit bt-require-crypto bt-save-metadata
    bt-seed-unverified bt-stop-timeout bt-tracker bt-tracker-connect-timeout bt-tracker-interval
    bt-tracker-timeout check-integrity conditional-get connect-timeout
    content-disposition-default-utf8 continue dry-run enable-http-keep-alive
    enable-http-pipelining enable-mmap enable-peer-exchange file-allocation follow-metalink
    follow-torrent force-save ftp-passwd ftp-pasv ftp-proxy ftp-proxy-passwd ftp-proxy-user
    ftp-reuse-connection ftp-type ftp-user gid hash-check-only http-accept-gzip
    http-auth-challenge http-no-cache http-passwd http-proxy http-proxy-passwd http-proxy-user
    http-user https-proxy https-proxy-passwd https-proxy-user index-out lowest-speed-limit
    max-connection-per-server max-download-limit max-file-not-found max-mmap-limit
    max-resume-failure-tries max-tries max-upload-limit metalink-base-uri
    metalink-enable-unique-protocol metalink-language metalink-location metalink-os
    metalink-preferred-protocol metalink-version min-split-size no-file-allocation-limit
    no-netrc no-proxy no-want-digest-header parameterized-uri pause pause-metadata piece-length
    proxy-method realtime-chunk-checksum remote-time remove-control-file retry-wait reuse-uri
    rpc-save-upload-metadata save-not-found seed-ratio seed-time select-file split
    ssh-host-key-md stream-piece-selector timeout uri-selector use-head
"""
MEANINGLESS = frozenset(_NAMES.split())


class Noise:
    """Collects those that a list has, and tells of them in one line.

    Args:
        source: the list, as a message calls it.
        warn: told at the list's end.
    """

    def __init__(self, source: str, warn: Callable[[str], None]) -> None:
        self._source = source
        self._warn = warn
        self._met: dict[str, None] = {}

    def take(self, name: str) -> bool:
        """Whether the option is one of those; it is told of later then."""
        known = name in MEANINGLESS
        if known:
            self._met[name] = None
        return known

    def tell(self) -> None:
        """Tell of all that were met, once."""
        if self._met:
            names = ", ".join(map(printable, self._met))
            self._met = {}
            what = "options of aria2's that mean nothing here are ignored"
            self._warn(f"{self._source}: {what}: {names}")
