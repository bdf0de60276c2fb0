"""``--log-file``: a line for all that happens, with its time, added to what is there."""

from __future__ import annotations

import os
import time
import traceback
from typing import TYPE_CHECKING

from pdl.errors import MachineError, PdlError
from pdl.output.display.base import host_line, jobs_line, notice_line, result_line, retry_line
from pdl.output.sinks import check_target
from pdl.text.masking import mask_urls, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from pdl.model import Result, Retrying
    from pdl.output.display.base import Display
    from pdl.scheduling.host_news import HostEvent
    from pdl.scheduling.progress import Standing, Summary


class LogFile:
    """A file that each line is added to in one step: several runs may share it.

    Args:
        path: of the file; made if it is not there.

    Attributes:
        error: why it can be written no more; the rest is dropped.

    Raises:
        UsageError, MachineError: as `pdl.output.sinks.check_target` has it.
    """

    def __init__(self, path: str) -> None:
        check_target(path)
        self.path = path
        self.error: OSError | None = None
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags, 0o666)
        except OSError as exc:
            raise MachineError(f"cannot write {printable(path)}: {exc.strerror}") from exc

    def beside(self, display: Display) -> LoggedDisplay:
        """The display, with this log."""
        return LoggedDisplay(display, self)

    def write(self, text: str) -> None:
        """Add lines, each with the time; secrets are to be masked already."""
        if self.error is not None:
            return
        now = time.time()
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03}Z"
        lines = "".join(f"{stamp} {line}\n" for line in text.splitlines())
        data = memoryview(lines.encode("utf-8", "backslashreplace"))
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as exc:
            self.error = exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """What has ended the run is in the log; then the log is closed."""
        if isinstance(error, SystemExit):
            self.write(f"end        exit code {error.code}")
        elif isinstance(error, PdlError):
            self.write(f"end        {mask_urls(str(error))}")
        elif error is not None:
            self.write(mask_urls("end        " + "".join(traceback.format_exception(error))))
        os.close(self._file)


class LoggedDisplay:
    """A display, of which the log gets all, whatever is shown.

    Args:
        display: that people see.
        log: gets what that would show with ``--verbose``.
    """

    every = True

    def __init__(self, display: Display, log: LogFile) -> None:
        self._display = display
        self._log = log
        self._told = False
        self.hosts, self.facts = display.hosts, display.facts
        self.told = display.told

    @property
    def lost(self) -> bool:
        """Whether anything could not be written that somebody asked for."""
        return self._display.lost or self._log.error is not None

    def passed(self, count: int) -> None:
        """See `Display.passed`."""
        self._display.passed(count)

    def record(self, result: Result) -> None:
        """See `Display.record`."""
        self._log.write(result_line(result))
        self._display.record(result)

    def retrying(self, event: Retrying) -> None:
        """See `Display.retrying`."""
        self._log.write(retry_line(event))
        self._display.retrying(event)

    def tick(self, standing: Standing) -> None:
        """See `Display.tick`."""
        error = self._log.error
        if error is not None and not self._told:
            self._told = True
            reason = error.strerror or str(error)
            self._display.notice(f"cannot write {self._log.path}: {reason}; the rest is lost")
        self._display.tick(standing)

    def happened(self, event: HostEvent) -> None:
        """See `Display.happened`."""
        self._log.write(host_line(event))
        self._display.happened(event)

    def resized(self, jobs: int) -> None:
        """See `Display.resized`."""
        self._log.write(jobs_line(jobs))
        self._display.resized(jobs)

    def said(self, lines: Sequence[str]) -> None:
        """See `Display.said`."""
        self._log.write("\n".join(map(printable, lines)))
        self._display.said(lines)

    def notice(self, text: str) -> None:
        """See `Display.notice`."""
        self._log.write(mask_urls(notice_line(text)))
        self._display.notice(text)

    def finish(self, summary: Summary) -> None:
        """See `Display.finish`."""
        from pdl.output.reports.console import summary_line  # which imports displays

        self._log.write(summary_line(summary))
        self._display.finish(summary)

    def close(self) -> None:
        """See `Display.close`."""
        self._display.close()

    def abandon(self) -> None:
        """See `Display.abandon`."""
        self._log.write("end        a second signal ended it at once")
        self._display.abandon()
