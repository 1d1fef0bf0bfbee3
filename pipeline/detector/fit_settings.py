"""How a detector is to be learnt; kept in its manifest, so that a fit can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Profile = Literal["fast", "full"]
Role = Literal["sensor", "context"]  # a sensor is forecast and scored; context feeds the network and is never scored


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Sizes and limits of the network, its training and the state that it carries.

    The defaults are one frozen configuration for all data; `steps` is an upper limit, early stopping decides.
    """

    hidden: int = 64
    layers: int = 1
    dropout: float = 0.0  # between layers
    horizon: int = 10  # readings ahead that are trained; the first of them is scored
    calendar: bool = False  # sine and cosine of the time of day and week as further inputs
    warm_up: int = 64  # readings that gather the scaling of a new series, and readings unscored after a reset
    max_gap: int = 10  # steps; a longer gap resets the series
    steps: int = 1000  # of the optimiser, at most
    learning_rate: float = 3e-3
    patience: int = 16  # evaluations without gain before training stops: gains come late, as the learning rate falls
    evaluate_every: int = 50  # steps
    chunk: int = 64  # readings that gradients flow through
    carry: int = 4  # chunks in a row through which state is carried
    batch: int = 16  # chunks side by side
    profile: Profile = "full"  # fast: without the views that look back, cheaper and less able
    trim: float = 0.0  # at most this share of a fit part, its oddest spans, is dropped and the rest learnt anew
    seed: int = 0
    device: str = "auto"  # cuda when there is one, else cpu
    roles: Mapping[str, Role] = field(default_factory=dict)  # of channels, where the rule of two values is not wanted

    def __post_init__(self) -> None:
        for name in (
            "hidden",
            "layers",
            "horizon",
            "warm_up",
            "max_gap",
            "steps",
            "patience",
            "evaluate_every",
            "carry",
            "batch",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: at least 1 is needed")
        if self.chunk < 8:
            raise ValueError(f"chunk is {self.chunk}: gradients through fewer than 8 readings learn no dynamics")
        if self.profile not in ("fast", "full"):
            raise ValueError(f"profile is {self.profile!r}: fast or full is needed")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}: a share from 0 up to, not including, 1 is needed")
        if not 0 <= self.trim <= 0.1:
            raise ValueError(f"trim is {self.trim}: a share of the fit part from 0 to 0.1 is needed")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}: a positive number is needed")
