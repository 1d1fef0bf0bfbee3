"""How many records a poll may bring, so that what is done with them takes about half a second.

A group waits for each of its members when it settles, and a member that scores does not answer. Records cost very
unlike amounts: by channels, by format, by how many of their series are new. So what the last ones took says how many
may come next.
"""

from __future__ import annotations

from typing import Final

MOST: Final = 5_000  # records: more at once are hardly cheaper each
FIRST: Final = 500  # of whose cost nothing is known yet
FORGOTTEN: Final = 0.3  # of a cost that was higher than the last, with each poll


class Pace:
    """Learns from each poll, at once where it took longer than the ones before, and else by and by."""

    def __init__(self, seconds: float) -> None:
        """The records of one poll are to take so long."""
        self._seconds = seconds
        self._each = seconds / FIRST

    @property
    def records(self) -> int:
        """At most, of the next poll."""
        return MOST if self._each * MOST <= self._seconds else max(1, int(self._seconds / self._each))

    def took(self, records: int, seconds: float) -> None:
        """So many records took so long."""
        if records:
            last = seconds / records
            self._each = max(last, self._each + FORGOTTEN * (last - self._each))
