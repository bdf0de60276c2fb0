"""Debian's nginx with a configuration of its own, as the honest and fast server."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certs import PemFiles

_CONFIG = """\
{user}
daemon off;
pid nginx.pid;
worker_processes 2;
error_log error.log warn;
events {{ worker_connections 2048; }}
http {{
    log_format rows escape=json '["$request_method","$request_uri","$status","$http_range",'
                                '"$body_bytes_sent","$connection","$connection_requests"]';
    access_log access.log rows;
    default_type application/octet-stream;
    types {{ text/html html; text/plain txt; application/json json; }}
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 1000000;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        {tls}
        root "{root}";
        {rate}
        {extra}
    }}
}}
"""

_TLS = 'listen 127.0.0.1:{port} ssl; ssl_certificate "{cert}"; ssl_certificate_key "{key}";'


class LogRow(NamedTuple):
    """A line of the access log.

    Attributes:
        range: the Range header, empty where there was none.
        bytes: of the body that was sent.
        connection: nginx's number of the connection.
        nth: which request on that connection it was, from 1.
    """

    method: str
    uri: str
    status: int
    range: str
    bytes: int
    connection: int
    nth: int


def available() -> bool:
    """Whether there is an nginx to start."""
    return programs.find("nginx") is not None


class Nginx(programs.Program):
    """Serves a directory on a free port of 127.0.0.1 while the context is entered.

    Args:
        root: the directory.
        tls: serve https, on a port of its own, with this certificate.
        rate: bytes per second for each connection.
        extra: lines for the server block.
    """

    def __init__(
        self,
        root: Path,
        tls: PemFiles | None = None,
        rate: int | None = None,
        extra: str = "",
    ) -> None:
        super().__init__("nginx", "-p", "./", "-c", "nginx.conf", "-e", "error.log")
        self.root = root
        self.tls_port = programs.free_port() if tls else None
        config = _CONFIG.format(
            user="user root;" if os.geteuid() == 0 else "",
            port=self.port,
            tls=_TLS.format(port=self.tls_port, **tls._asdict()) if tls else "",
            root=root,
            rate=f"limit_rate {rate};" if rate else "",
            extra=extra,
        )
        (self.home / "nginx.conf").write_text(config)

    def url(self, path: str) -> str:
        """The http URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def tls_url(self, path: str) -> str:
        """The https URL of a path."""
        return f"https://127.0.0.1:{self.tls_port}{path}"

    def log(self) -> list[LogRow]:
        """The requests that are finished; nginx writes a row a moment after its last byte."""
        text = (self.home / "access.log").read_text()
        rows = (json.loads(line) for line in text.splitlines() if line)
        return [
            LogRow(method, uri, int(status), asked, int(size), int(connection), int(nth))
            for method, uri, status, asked, size, connection, nth in rows
        ]

    def wait_log(self, n: int, seconds: float = 10.0) -> list[LogRow]:
        """Wait until the log has `n` rows.

        Raises:
            TimeoutError: it has not.
        """
        end = time.monotonic() + seconds
        while len(rows := self.log()) < n:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(rows)} of {n} rows in nginx's log")
            threading.Event().wait(0.02)
        return rows

    def clear_log(self) -> None:
        """Forget the rows so far."""
        os.truncate(self.home / "access.log", 0)
