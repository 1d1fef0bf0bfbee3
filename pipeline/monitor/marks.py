"""What a series is held against, and where its last reading came from."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.monitor.table import Columns
from pipeline.records import Ints


@dataclass(slots=True)
class Marks(Columns):
    """What a series is held against, and where its last reading came from."""

    calibration: Ints  # (S,) which of the detector's
    partition: Ints  # (S,)
    offset: Ints  # (S,) the last one observed
