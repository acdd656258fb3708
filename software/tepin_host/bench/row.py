# SPDX-License-Identifier: Apache-2.0
"""What a benchmark yields."""

from dataclasses import dataclass

__all__ = ["CheckFailed", "Row"]


class CheckFailed(Exception):
    """A benchmark's result is wrong, so its figures mean nothing."""


@dataclass(frozen=True)
class Row:
    """One figure.

    Members
    -------
    bench, case, metric : str
        `case` names shape and configuration in words.
    value : float
    unit : str
    limit : float or None
        The physical limit in the same unit.
    """

    bench: str
    case: str
    metric: str
    value: float
    unit: str
    limit: float | None = None
