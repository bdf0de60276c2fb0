"""tinyproxy as the forward proxy of tests."""

from __future__ import annotations

from servers import programs

_CONFIG = """\
Port {port}
Listen 127.0.0.1
Allow 127.0.0.1
Timeout 60
MaxClients 200
LogLevel Connect
LogFile "{log}"
{login}
"""


def available() -> bool:
    """Whether there is a tinyproxy to start."""
    return programs.find("tinyproxy") is not None


class Proxy(programs.Program):
    """Forwards from a free port of 127.0.0.1 while the context is entered.

    Args:
        login: user and password that it asks for.
    """

    def __init__(self, login: tuple[str, str] | None = None) -> None:
        super().__init__("tinyproxy", "-d", "-c", "conf")
        self._log = self.home / "log"
        words = f"BasicAuth {login[0]} {login[1]}" if login else ""
        (self.home / "conf").write_text(_CONFIG.format(port=self.port, log=self._log, login=words))

    @property
    def url(self) -> str:
        """What a client is given as its proxy."""
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """What it has written so far, a ``Request`` line for each."""
        return self._log.read_text()
