"""What a soak was asked for, what was seen while it ran, and whether the promises were kept."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

UNSCORED = 16  # readings with which a new series of this detector warms up
MOST_SECONDS_BEHIND = 90.0  # a killed member is missed after 10, its transaction undone after 15 more


@dataclass(frozen=True)
class Asked:
    """How much of what; `rate` in readings a second."""

    readings: int = 10_000_000
    series: int = 10_000
    rate: float = 4_000.0
    event_seconds: float = 120.0
    partitions: int = 8
    seed: int = 0


@dataclass
class Told:
    """What was seen while it ran; times in seconds from the first record, memory in MiB."""

    asked: Asked
    events: list[tuple[float, str]] = field(default_factory=list)
    samples: list[tuple[float, int, int, dict[str, float]]] = field(default_factory=list)  # at, sent, behind, memory
    sent: dict[str, int] = field(default_factory=dict)  # by what they are
    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    uneven_series: int = 0  # with another number of outputs than of records
    differing_scores: int = 0  # of the watched series, from the backtest
    watched_scores: int = 0
    exit_codes: dict[str, list[int]] = field(default_factory=dict)

    def figures(self) -> dict[str, object]:
        """The course of it in a few numbers."""
        half = [one for one in self.samples if one[0] > self.seconds / 2 and "elder" in one[3]]
        hours, memory = np.array([one[0] / 3600 for one in half]), np.array([one[3]["elder"] for one in half])
        behind = np.array([one[2] for one in self.samples])
        thirds = np.array_split(behind, 3)
        return {
            "readings_per_second": sum(self.sent.values()) / self.seconds,
            "elder_mib": float(np.median(memory)),
            "elder_slope_mib_per_hour": float(np.polyfit(hours - hours[0], memory, 1)[0]),
            "elder_growth_mib": float(np.median(memory[-len(memory) // 4 :]) - np.median(memory[: len(memory) // 4])),
            "largest_mib": max(max(one[3].values()) for one in self.samples if one[3]),
            "behind_median": float(np.median(behind)),
            "behind_most_by_third": [int(third.max()) for third in thirds],
        }

    def broken(self) -> list[str]:
        """The promises that were not kept."""
        figures, asked, found = self.figures(), self.asked, []
        sent = self.sent
        wanted = {"missing": sent["missing"], "duplicate": sent["duplicate"], "invalid": sent["invalid"]}
        for name, count in wanted.items():
            if self.outcomes.get(name, 0) != count:
                found.append(f"{count} records were {name}, {self.outcomes.get(name, 0)} outputs say so")
        readings = sum(self.outcomes.get(name, 0) for name in ("scored", "warming"))
        if readings != sent["reading"]:
            found.append(f"{sent['reading']} readings were sent, {readings} scored or warming up")
        if self.outcomes.get("late"):
            found.append(f"{self.outcomes['late']} came late, and none was sent so")
        if self.outcomes["warming"] > (UNSCORED + 1) * asked.series:
            found.append(f"{self.outcomes['warming']} were warming up: some series began again")
        if self.uneven_series:
            found.append(f"{self.uneven_series} series have another number of outputs than of records")
        if self.differing_scores or not self.watched_scores:
            found.append(f"{self.differing_scores} scores are not the backtest's")
        most = figures["behind_most_by_third"]
        if max(most) > MOST_SECONDS_BEHIND * asked.rate:
            found.append(f"it fell behind by {max(most)} records")
        if figures["elder_growth_mib"] > 5 + 0.05 * figures["elder_mib"]:
            found.append(f"the elder's memory grew by {figures['elder_growth_mib']:.1f} MiB in the second half")
        if any(code for codes in self.exit_codes.values() for code in codes if code != -signal.SIGKILL):
            found.append(f"a process ended badly: {self.exit_codes}")
        return found


def write(told: Told, folder: Path) -> None:
    """soak.json and soak.png."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {**asdict(told), "figures": told.figures(), "broken": told.broken()}
    (folder / "soak.json").write_text(json.dumps(document, indent=1))
    figure, (memory, behind) = plt.subplots(2, 1, sharex=True, figsize=(10, 6), layout="constrained")
    minutes = [one[0] / 60 for one in told.samples]
    for name in ("elder", "other", "third"):
        memory.plot(minutes, [one[3].get(name, np.nan) for one in told.samples], label=name)
    behind.plot(minutes, [one[2] for one in told.samples], color="tab:gray")
    for axes in (memory, behind):
        for at, _ in told.events:
            axes.axvline(at / 60, color="0.85", linewidth=0.8, zorder=0)
    memory.set(ylabel="resident memory, MiB", ylim=(0, None))
    memory.legend(loc="lower right")
    behind.set(ylabel="records sent and not out", xlabel="minutes; a line for each event", ylim=(0, None))
    figure.savefig(folder / "soak.png", dpi=110)
    plt.close(figure)
