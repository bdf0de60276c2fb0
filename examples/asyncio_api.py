"""pdl beside asyncio: ``python examples/asyncio_api.py URL...`` shows outcomes as they come."""

from __future__ import annotations

import asyncio
import sys

import pdl


async def main(urls: list[str]) -> int:
    """Download in a thread, while the loop goes on; the exit code."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[pdl.Event | None] = asyncio.Queue()

    def tell(event: pdl.Event | None) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    def download() -> pdl.Report:
        try:
            return pdl.download(urls, "downloads", jobs=4, on_event=tell)
        finally:
            tell(None)  # no event comes after this one

    running = asyncio.create_task(asyncio.to_thread(download))
    while (event := await events.get()) is not None:
        if isinstance(event, pdl.Result):
            print(f"{event.outcome}: {event.url}")
    return 0 if (await running).ok else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
