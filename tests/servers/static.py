"""Real servers of files that take liberties with ranges, and nginx, which takes none.

They were chosen for what they do: rclone's S3 gateway answers a range with status 200 and the rest,
busybox's httpd knows no If-Range and calls every range a page of HTML, webfs refuses a range that
begins behind the end with 400.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from servers import nginx, programs

if TYPE_CHECKING:
    from pathlib import Path


class StaticServer(programs.Program):
    """Serves `root` on a free port of 127.0.0.1 while the context is entered.

    Attributes:
        root: its files.
        base: path before the names of files.
    """

    base = "/"

    def __init__(self, root: Path, name: str, *args: str) -> None:
        super().__init__(name, *args)
        self.root = root
        self._args = tuple(each.format(port=self.port, root=root) for each in args)

    @staticmethod
    def available() -> bool:
        """Whether the program is there."""
        raise NotImplementedError


class Rclone(StaticServer):
    """``rclone serve s3``, which has buckets, so that the files are in one."""

    base = "/bucket/"

    def __init__(self, root: Path) -> None:
        address = ("--addr", "127.0.0.1:{port}", "--config", "rclone.conf")
        super().__init__(root, "rclone", "serve", "s3", *address, "--dir-cache-time", "0", "{root}")
        self.root = root / "bucket"
        self.root.mkdir()

    @staticmethod
    def available() -> bool:
        """See `StaticServer.available`."""
        return programs.find("rclone") is not None


class Busybox(StaticServer):
    """The httpd of busybox."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "busybox", "httpd", "-f", "-p", "127.0.0.1:{port}", "-h", "{root}")

    @staticmethod
    def available() -> bool:
        """See `StaticServer.available`; not every busybox has a httpd."""
        program = programs.find("busybox")
        if program is None:
            return False
        listed = subprocess.run([program, "--list"], capture_output=True, check=False)
        return b"httpd" in listed.stdout.split()


class Webfs(StaticServer):
    """webfs."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "webfsd", "-F", "-i", "127.0.0.1", "-p", "{port}", "-r", "{root}")

    @staticmethod
    def available() -> bool:
        """See `StaticServer.available`."""
        return programs.find("webfsd") is not None


class PlainNginx(nginx.Nginx):
    """nginx, as the other servers are started and asked."""

    base = "/"

    @staticmethod
    def available() -> bool:
        """See `StaticServer.available`."""
        return nginx.available()


SERVERS: dict[str, type[Rclone | Busybox | Webfs | PlainNginx]] = {
    "rclone": Rclone,
    "busybox": Busybox,
    "webfs": Webfs,
    "nginx": PlainNginx,
}
"""By the name that tests give them."""
