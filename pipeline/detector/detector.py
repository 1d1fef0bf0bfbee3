"""A Detector: what was learnt of a set of series, and never changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.detector.calendar import CALENDAR_NAMES
from pipeline.detector.calibration import Calibration, Rarity, rarity_of
from pipeline.detector.engine import Engine
from pipeline.detector.fit_settings import FitSettings, Role
from pipeline.detector.past import Past, Recalled
from pipeline.detector.views import Components, FurtherView, Level, Linear, Memory, Prediction, View, owners
from pipeline.records import Clock, Flags, Floats, Ints


@dataclass(frozen=True, slots=True)
class Channel:
    """One of the numbers of a reading."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class LookingBack:
    """What a detector needs to look back."""

    past: Past
    memory: Memory
    components: Components
    shape: Memory | None = None  # where one channel is scored
    linear: Linear | None = None  # where many are

    @property
    def regions(self) -> int:
        """Into how many regions the past is divided, R: one around each shape that is remembered."""
        return len(self.shape.states) if self.shape else 0

    def region(self, recalled: Recalled) -> Ints:
        """The region of the past that each of N readings came after, (N,); R where it was not full."""
        if self.shape is None:
            return np.zeros(len(recalled.full), np.int64)
        return np.where(recalled.earlier_full, self.shape.nearest(recalled.earlier), self.regions)

    def arrays(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """What was learnt, by name."""
        yield "views.past.transition", self.past.transition
        yield "views.past.entry", self.past.entry
        yield "views.memory.states", self.memory.states
        if self.shape:
            yield "views.shape.states", self.shape.states
        if self.linear:
            yield "views.linear.weights", self.linear.weights
        yield "views.components.mean", self.components.mean
        yield "views.components.basis", self.components.basis
        yield "views.components.common", self.components.common


@dataclass(frozen=True, slots=True)
class Extended:
    """A detector to which series were added: the first of its calibrations and series are its heir's as well."""

    digest: str
    calibrations: int
    series: int


@dataclass(frozen=True, eq=False)  # no slots: what is derived is worked out once and kept
class Detector:
    """The network, the calibrations, and where each fitted series stood at the end of its history.

    `calibrations[0]` is pooled over the series; a series with enough history of its own names another in its slot.
    `slots` are snapshots as `monitor.snapshot` writes them, `figures` are told to people, and `extends` are the
    detectors that this one was before series were added, oldest first: none of them is in the digest.
    """

    channels: tuple[Channel, ...]
    clock: Clock
    step: int  # of a series never seen: microseconds, or 1 with an index clock
    regular: bool  # of a series never seen: its gaps are counted in steps
    period: int  # of a series never seen, in readings
    settings: FitSettings
    engine: Engine
    looking_back: LookingBack | None = None  # None: no view looks back
    calibrations: tuple[Calibration, ...] = ()
    longest_runs: tuple[int, ...] = ()  # of each channel of a series never seen; 0, and all where empty: not known
    slots: Mapping[str, bytes] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    extends: tuple[Extended, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The channels, in the order of a reading's columns."""
        return tuple(channel.name for channel in self.channels)

    @property
    def series(self) -> tuple[str, ...]:
        """The series it was fitted on."""
        return tuple(self.slots)

    @cached_property
    def scored(self) -> Flags:
        """Which channels enter the error, (C,)."""
        return np.array([channel.role == "sensor" for channel in self.channels])

    @cached_property
    def longest_of_scored(self) -> Ints:
        """The longest run of one value of each of the K scored channels of a series never seen; 0: not known, (K,)."""
        longest = self.longest_runs or (0,) * len(self.channels)
        return np.array(longest, np.int64)[self.scored]

    @property
    def past(self) -> Past | None:
        """How the past is kept; None where it is not."""
        return self.looking_back.past if self.looking_back else None

    @cached_property
    def further(self) -> tuple[FurtherView, ...]:
        """The views beside the prediction; |z| only for one channel, on many it drags (docs/decisions/0010)."""
        level, back = () if self.many else (Level(),), self.looking_back
        if back is None:
            return level
        further = (back.linear, back.memory, back.shape, back.components)
        return (*level, *(view for view in further if view is not None))

    @cached_property
    def views(self) -> tuple[View, ...]:
        """What its readings are judged by."""
        return (Prediction(self.many), *self.further)

    @cached_property
    def owners(self) -> Ints:
        """The view of each of the K smoothed errors, (K,)."""
        return owners(self.views)

    @cached_property
    def weights(self) -> Floats:
        """The weight of each of the K levels in F, (K,): views count alike, and so do the spans of a view."""
        weights: Floats = 1.0 / (len(self.views) * np.bincount(self.owners)[self.owners])
        return weights

    @cached_property
    def slowest(self) -> int:
        """Which of the K smoothed errors is the prediction's over its longest span."""
        return int(np.flatnonzero(self.owners == 0)[-1])

    @cached_property
    def lengths(self) -> Ints:
        """How many readings each of the K errors is about before it is smoothed, (K,)."""
        return np.array([view.length for view in self.views])[self.owners]

    @cached_property
    def many(self) -> bool:
        """More than one channel is scored. Then some drift for good, and habits are taken off what a view says."""
        return int(self.scored.sum()) > 1

    @cached_property
    def rarity(self) -> Rarity:
        """From fused errors to decades, for all calibrations."""
        return rarity_of(self.calibrations)

    @cached_property
    def channel_scales(self) -> Floats:
        """The mean squared residuals of all J calibrations, (J, C)."""
        return np.stack([calibration.channel_scale for calibration in self.calibrations])

    @cached_property
    def regionals(self) -> Floats:
        """How they differ from region to region of the past, (J, R + 1)."""
        return np.stack([calibration.regional for calibration in self.calibrations])

    @property
    def regions(self) -> int:
        """Into how many regions the past is divided, R; 0 where it is not."""
        return self.looking_back.regions if self.looking_back else 0

    @cached_property
    def highs(self) -> Floats:
        """The 99 % quantiles of the smoothed errors of all J calibrations, (J, K)."""
        return np.stack([calibration.high for calibration in self.calibrations])

    @cached_property
    def bands(self) -> Floats:
        """The central 99 % of the residuals of all J calibrations, in scaled units, (J, 2, C)."""
        return np.stack([calibration.band for calibration in self.calibrations])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that decides a score, in hex: the same on every machine that holds the same detector."""
        sha = hashlib.sha256(json.dumps(self.described(), sort_keys=True).encode())
        for name, array in sorted(self.arrays()):
            sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()

    @cached_property
    def kin(self) -> frozenset[str]:
        """The digests of the detectors whose slots are at home here: its own, and those that it extends."""
        return frozenset((self.digest, *(each.digest for each in self.extends)))

    @property
    def named_by(self) -> str:
        """The digest that incidents are named by: the oldest, so that one keeps its name when series are added."""
        return self.extends[0].digest if self.extends else self.digest

    @cached_property
    def added(self) -> Mapping[str, frozenset[str]]:
        """By the digest of each detector that it extends: the series that were added since."""
        return {each.digest: frozenset(self.series[each.series :]) for each in self.extends}

    def before(self, extended: Extended) -> Detector:
        """The detector that it was, of which the slots are left out."""
        return replace(self, calibrations=self.calibrations[: extended.calibrations], slots={}, extends=())

    def described(self) -> dict[str, Any]:
        """All of it that is not an array, ready for JSON."""
        return {
            "channels": [asdict(channel) for channel in self.channels],
            "further_inputs": list(CALENDAR_NAMES if self.settings.calendar else ()),
            "clock": self.clock,
            "step": self.step,
            "regular": self.regular,
            "period": self.period,
            "longest_runs": list(self.longest_runs),
            "settings": {**asdict(self.settings), "roles": dict(self.settings.roles)},
            "views": [view.name for view in self.views],
            "past": {"reach": self.past.reach, "window": self.past.window} if self.past else None,
            "calibrations": [{"step": c.step, "floor": c.floor, "tail": c.tail} for c in self.calibrations],
        }

    def arrays(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """The weights, what the views learnt, and the arrays of each calibration by number."""
        yield from self.engine.tensors().items()
        if self.looking_back:
            yield from self.looking_back.arrays()
        for number, calibration in enumerate(self.calibrations):
            for name in ("channel_scale", "regional", "high", "band", "sample"):
                yield f"calibration.{number}.{name}", getattr(calibration, name)
