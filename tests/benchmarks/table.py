"""The table: medians, and ratios taken round by round."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.measure import Taken

HEADING = f"{'case':<14}{'tool':<17}{'seconds':>9}{'cpu':>9}{'MiB':>8}   first/this (least to most)"


def rows(case: str, taken: dict[str, list[Taken]]) -> list[str]:
    """A line for each tool; the ratio is of the first one's seconds to its own.

    Args:
        case: its name.
        taken: for each tool what its runs took, in the order of the rounds.
    """
    first = next(iter(taken.values()))
    lines = []
    for tool, runs in taken.items():
        lines.append(
            f"{case:<14}{tool:<17}"
            f"{median(run.seconds for run in runs):>9.3f}"
            f"{median(run.cpu for run in runs):>9.3f}"
            f"{median(run.memory for run in runs) / 2**20:>8.1f}"
            f"   {_ratios(first, runs) if runs is not first else ''}{_problem(runs)}".rstrip()
        )
    return lines


def _ratios(first: list[Taken], runs: list[Taken]) -> str:
    ratios = [one.seconds / other.seconds for one, other in zip(first, runs, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _problem(runs: list[Taken]) -> str:
    codes = sorted({run.code for run in runs} - {0})
    return f"  FAILED, exit {', '.join(map(str, codes))}" if codes else ""
