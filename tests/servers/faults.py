"""Every row of the fault table that happens on the wire, by name.

The rows are functions that make a script; `framing`, `heads`, `redirects`, `resumes`, `partials`
and `reuse` hold them by subject. Each comes with the endings that are right for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers import framing, heads, partials, redirects, resumes, reuse
from servers.row import BODY, OTHER, Fault

if TYPE_CHECKING:
    from servers.wire import Script

FAULTS = {
    row.name: row
    for rows in (framing, heads, redirects, resumes, partials, reuse)
    for row in rows.FAULTS
}
"""The rows by name."""


def script_for(path: str) -> Script | None:
    """The script of ``/fault/.../<name>[.suffix]``, anew for each call; None for other paths."""
    parts = path.split("/")
    fault = FAULTS.get(parts[-1].partition(".")[0])
    return fault.make() if fault and parts[1:2] == ["fault"] else None


def path_for(fault: Fault, *, run: str = "") -> str:
    """Where the row is served; another `run` starts its script anew."""
    return (
        f"/fault/{run}/{fault.name}{fault.suffix}" if run else f"/fault/{fault.name}{fault.suffix}"
    )


__all__ = ["BODY", "FAULTS", "OTHER", "Fault", "path_for", "script_for"]
