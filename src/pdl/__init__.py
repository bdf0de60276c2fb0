"""pdl: download a list of URLs, fast, and say at the end exactly what failed and why.

::

    import pdl

    if __name__ == "__main__":
        report = pdl.download(["https://example.org/a.iso"], "downloads", jobs=4)
        print(report.summary.succeeded, report.failures)

Nothing is imported before it is used (PEP 562), so that ``import pdl`` costs next to nothing and
a worker process loads only what a worker needs.
"""

from __future__ import annotations

from pdl._version import __version__

TYPE_CHECKING = False  # typing takes longer to import than everything else here
if TYPE_CHECKING:
    from pdl.errors import ListError, LockedError, MachineError, PdlError, UsageError
    from pdl.model import AuthSettings, Event, FailureKind, Item, Outcome, Result, Retrying, User
    from pdl.run.download import Report, download
    from pdl.scheduling.progress import Summary
    from pdl.settings import (
        CacheSettings,
        FileSettings,
        HookSettings,
        HttpSettings,
        InputSettings,
        LockSettings,
        NamingSettings,
        PaceSettings,
        PoolSettings,
        RetrySettings,
        Settings,
        StopSettings,
    )
    from pdl.text.host_tables import HostTable

__all__ = [
    "AuthSettings",
    "CacheSettings",
    "Event",
    "FailureKind",
    "FileSettings",
    "HookSettings",
    "HostTable",
    "HttpSettings",
    "InputSettings",
    "Item",
    "ListError",
    "LockSettings",
    "LockedError",
    "MachineError",
    "NamingSettings",
    "Outcome",
    "PaceSettings",
    "PdlError",
    "PoolSettings",
    "Report",
    "Result",
    "RetrySettings",
    "Retrying",
    "Settings",
    "StopSettings",
    "Summary",
    "UsageError",
    "User",
    "__version__",
    "download",
]

_HOMES = {
    "pdl.run.download": ("Report", "download"),
    "pdl.errors": ("ListError", "LockedError", "MachineError", "PdlError", "UsageError"),
    "pdl.model": (
        "AuthSettings",
        "Event",
        "FailureKind",
        "Item",
        "Outcome",
        "Result",
        "Retrying",
        "User",
    ),
    "pdl.text.host_tables": ("HostTable",),
    "pdl.scheduling.progress": ("Summary",),
    "pdl.settings": (
        "CacheSettings",
        "FileSettings",
        "HookSettings",
        "HttpSettings",
        "InputSettings",
        "LockSettings",
        "NamingSettings",
        "PaceSettings",
        "PoolSettings",
        "RetrySettings",
        "Settings",
        "StopSettings",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker would take every misspelt name for an `object`

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib  # only when something is asked for

        value = getattr(importlib.import_module(home), name)
        globals()[name] = value  # found without this function from now on
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
