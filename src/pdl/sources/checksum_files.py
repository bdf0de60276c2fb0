"""``--checksums``: checksum files, here or on a server, read whole before the run begins."""

from __future__ import annotations

import itertools
import signal
import tempfile
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urljoin

from pdl.errors import ListError
from pdl.integrity.checksum_index import ChecksumIndex
from pdl.model import BadLine, FailureKind, Item
from pdl.settings import FileSettings, Settings, StopSettings
from pdl.sources import Pause
from pdl.sources.checksums import Listed, digests, relative_url
from pdl.sources.streams import MAX_LINE, compression, decode, split_lines, utf16
from pdl.text.lazy_regex import lazy
from pdl.text.masking import mask, printable
from pdl.text.units import amount_text
from pdl.text.urls import has_scheme, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pdl.errors import PdlError
    from pdl.model import Result
    from pdl.scheduling.progress import Summary
    from pdl.sources import Line

MAX_BYTES = 64 * 1024 * 1024
"""Of a checksum file, unpacked: some 700,000 entries."""
_JOBS = 4
_PLAIN = lazy("[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
"""Names that are relative URLs as they stand."""
_HINT = "what sha256sum and its like write is understood, in GNU's style and in BSD's"


class Downloaded(Protocol):
    """What is looked at of a run that fetched checksum files; see `pdl.run.download.Report`."""

    @property
    def summary(self) -> Summary:
        """The run in numbers."""

    @property
    def failures(self) -> Sequence[Result]:
        """A row for each file that failed."""

    @property
    def machine_error(self) -> PdlError | None:
        """Why this machine could not begin or not go on, if so."""


class Download(Protocol):
    """`pdl.run.download.download`."""

    def __call__(
        self,
        items: Iterable[str | Item],
        dir: str = ".",  # noqa: A002 - as it is there
        *,
        jobs: int = 8,
        settings: Settings | None = None,
    ) -> Downloaded:
        """Download the items to the directory."""


def gather(
    settings: Settings, warn: Callable[[str], None], download: Download | None
) -> ChecksumIndex | None:
    """All entries of the checksum files that the settings name; None if they name none.

    Args:
        settings: of the run.
        warn: told of lines that are no digests.
        download: fetches those on a server; None leaves them out.

    Raises:
        ListError: one cannot be had, is too large, or has no digest in it.
        MachineError: this machine cannot fetch them.
    """
    places = settings.input.checksums
    if not places:
        return None
    sums = ChecksumIndex()
    urls = [place for place in places if has_scheme(place)]
    with tempfile.TemporaryDirectory(prefix="pdl-") as directory:
        if urls and download is not None:
            fetch(urls, directory, settings, download)
        for place in places:
            if not has_scheme(place):
                read(sums, place, place, settings.input.base_url, warn)
            elif download is not None:
                read(sums, f"{directory}/{urls.index(place)}", place, place, warn)
    return sums


def fetch(urls: Sequence[str], directory: str, settings: Settings, download: Download) -> None:
    """Fetch them in a run of its own, asked for as the list's files are: each as its number.

    Raises:
        ListError: one cannot be had.
        MachineError: this machine cannot fetch them.
    """
    wanted = [
        Item(url, out=str(number), source="--checksums", line=number)
        for number, url in enumerate(urls)
        if url not in urls[:number]
    ]
    own = Settings(
        http=settings.http,
        auth=settings.auth,
        retry=settings.retry._replace(allowed=frozenset()),  # it cannot be done without
        files=FileSettings(max_time=settings.files.max_time, max_size=MAX_BYTES),
        pool=settings.pool,
        stop=StopSettings(deadline=settings.stop.deadline),
    )
    report = download(wanted, directory, jobs=min(len(wanted), _JOBS), settings=own)
    if report.summary.stopped_by is not None:
        signal.raise_signal(report.summary.stopped_by)
    if report.machine_error is not None:
        raise report.machine_error
    for row in report.failures:
        too_large = row.kind == FailureKind.SIZE.value  # by no option of the user's
        why = _too_large() if too_large else f"{row.kind}: {row.message}"
        raise ListError(
            f"--checksums {row.url}: {why}",
            "nothing was downloaded, for nothing could have been checked",
        )


def _too_large() -> str:
    return f"larger than {amount_text(MAX_BYTES)}"


def read(
    sums: ChecksumIndex, path: str, name: str, base: str | None, warn: Callable[[str], None]
) -> None:
    """Read one checksum file, packed or not, into `sums`.

    Args:
        sums: takes the entries.
        path: of the file.
        name: as the user gave it: a path or a URL.
        base: URL that the names in it are relative to, or None.
        warn: told once if lines of it are no digests.

    Raises:
        ListError: it cannot be read, is too large, or has no digest in it.
    """
    shown = mask(name) if has_scheme(name) else printable(name)
    sums.sources.append(shown)
    home = parse(urljoin(base, ".")).request_url if base else ""
    bad: list[BadLine] = []
    count = 0
    for each in digests(split_lines(_bytes_of(path, shown)), parse_name(name)):
        if isinstance(each, Listed):
            count += 1
            sums.add(each.name, each.checksum, _url_of(each.name, base, home))
        elif isinstance(each, BadLine):
            bad.append(each._replace(text=""))
    if not count:
        why = f": line {bad[0].line} {bad[0].message}" if bad else ""
        raise ListError(f"--checksums {shown}: there is no digest in it{why}", _HINT)
    if bad:
        lines = "line is no digest" if len(bad) == 1 else "lines are no digests"
        first = f"line {bad[0].line} {printable(bad[0].message)}"
        warn(f"--checksums {shown}: {len(bad)} {lines} and ignored; {first}")


def parse_name(name: str) -> str:
    """What of a checksum file's name may tell the algorithm: of a URL its path."""
    return parse(name).path if has_scheme(name) else name


def _url_of(name: str, base: str | None, home: str) -> str | None:
    if home and _PLAIN.fullmatch(name):
        return home + name
    try:
        if has_scheme(name):
            return parse(name).request_url
        return parse(urljoin(base, relative_url(name))).request_url if base else None
    except ValueError:
        return None


def _bytes_of(path: str, shown: str) -> Iterator[Line]:
    """The unpacked bytes of a file in pieces; a pipe's as they come."""
    total = 0
    try:
        with open(path, "rb") as file:
            pieces = iter(lambda: file.read(MAX_LINE), b"")
            plain = (piece for piece in _unpacked(pieces, shown) if not isinstance(piece, Pause))
            for piece in _decoded(plain, shown):
                if isinstance(piece, Pause):
                    continue
                total += len(piece)
                if total > MAX_BYTES:
                    raise ListError(f"--checksums {shown}: {_too_large()}", _HINT)
                yield piece
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ListError(f"--checksums {shown}: {why}", "give a file or an http(s) URL") from None


def _decoded(pieces: Iterator[bytes], shown: str) -> Iterator[Line]:
    """The pieces in UTF-8, if a byte order mark says that they are UTF-16."""
    first = next(pieces, b"")
    if len(first) == 1:
        first += next(pieces, b"")
    whole = itertools.chain([first], pieces)
    codec = utf16(first)
    return decode(whole, codec, shown) if codec else whole


def _unpacked(pieces: Iterator[bytes], shown: str) -> Iterator[Line]:
    first = next(pieces, b"")
    whole = itertools.chain([first], pieces)
    form = compression(first)
    if not form:
        return whole
    from pdl.sources.compressed import unpack  # its libraries

    return unpack(whole, form, shown)
