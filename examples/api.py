"""pdl from Python: ``python examples/api.py URL...`` puts the files into ``downloads``."""

from __future__ import annotations

import sys

import pdl


def show(event: pdl.Event) -> None:
    """Called with every outcome, and with every attempt that is to be made again."""
    if isinstance(event, pdl.Retrying):
        print(f"again in {event.delay:.1f} s: {event.url} ({event.message})")
    elif event.outcome is pdl.Outcome.FAIL:
        print(f"failed: {event.url}: {event.kind}: {event.message}")
    else:
        print(f"{event.outcome}: {event.path}, {event.size} bytes")


def main(urls: list[str]) -> int:
    """Download the URLs; the exit code."""
    settings = pdl.Settings(
        http=pdl.HttpSettings(timeout=30.0),
        retry=pdl.RetrySettings(retries=2, wait=0.2),
    )
    report = pdl.download(urls, "downloads", jobs=4, settings=settings, on_event=show)
    error = report.machine_error or report.list_error
    if error is not None:  # the directory cannot be written, another run holds it, ...
        print(f"cannot download: {error}", file=sys.stderr)
        return int(error.exit_code)
    print(f"{report.summary.succeeded} files, {report.summary.bytes} bytes")
    return 0 if report.ok else 1


# Workers may import this file again: what starts a download stands below this line.
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
