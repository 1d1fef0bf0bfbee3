"""A few short series with their figures, committed, so that a change that costs quality is seen before it lands.

.venv/bin/python -m tests.bench.quality.guard [--write-expected]

They are on the tuning list, for they are looked at on every change, and chosen among the short ones for being found, so
that there is something to lose. They say nothing of the whole: that is what `run` and `figures` are for. After a change
that is meant to move them, write `expected.json` anew and say so.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipeline.detector.fit_settings import FitSettings
from tests.bench.quality.cases import Entry, data_folder, entries
from tests.bench.quality.figures import measured
from tests.bench.quality.scoring import OURS, RATES, score_entry

EXPECTED = Path(__file__).with_name("expected.json")
WATCHED = {
    "ucr": "028_UCR_Anomaly_DISTORTEDInternalBleeding17_1600_3198_3309",
    "nab": "realTraffic/speed_7578",
    "skab": "other/1",
    "msl": "T-12",
}
MARGIN = 0.05  # of VUS-PR and AUC-PR: training on another machine differs in the last bits, and so do its results
ALARM_MARGIN = 0.01  # of the share of normal rows that exceed at 1e-2

Figures = dict[str, float | None]


def watched(data: Path) -> list[Entry]:
    """The series that are watched, of the data sets that are there."""
    there = [(name, series) for name, series in WATCHED.items() if (data / name).is_dir()]
    return [entry for name, series in there for entry in entries(data, name) if entry.series == series]


def figures_of(entry: Entry) -> Figures:
    """The figures of one of them, by the frozen configuration and seed 0."""
    found = measured(OURS, entry, score_entry(entry, OURS, FitSettings(device="cpu")))
    alarms = found.alarms[RATES.index(1e-2)]
    return {
        "vus_pr": found.vus_pr,
        "auc_pr": found.auc_pr,
        "false_alarms": alarms.false / alarms.normal if alarms.normal else None,
    }


def worse(found: Figures, expected: Figures) -> list[str]:
    """What is worse than expected by more than the margin, in words; better is well."""
    complaints = []
    for name in ("vus_pr", "auc_pr"):
        is_, was = found[name], expected[name]
        if was is not None and (is_ is None or is_ < was - MARGIN):
            complaints.append(f"{name} is {is_}, and was {was:.3f}; the margin is {MARGIN}")
    is_, was = found["false_alarms"], expected["false_alarms"]
    if was is not None and (is_ is None or is_ > was + ALARM_MARGIN):
        complaints.append(f"the share of false alarms at .01 is {is_}, and was {was:.4f}; the margin is {ALARM_MARGIN}")
    return complaints


def expected() -> dict[str, Figures]:
    """The committed figures by data set and series."""
    return dict(json.loads(EXPECTED.read_text("utf-8")))


def main() -> None:
    """Print the figures beside the committed ones, or write these anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the data sets; else PLUMBLINE_DATA, else ../shared/data")
    parser.add_argument("--write-expected", action="store_true", help=f"write {EXPECTED.name} anew")
    asked = parser.parse_args()
    found = {f"{entry.dataset} {entry.series}": figures_of(entry) for entry in watched(data_folder(asked.data))}
    before = expected() if EXPECTED.exists() else {}
    for name, figures in found.items():
        print(name)
        for figure, value in figures.items():
            was = before.get(name, {}).get(figure)
            print(f"  {figure:<13} {_number(value)}  was {_number(was)}")
    if asked.write_expected:
        rounded = {
            name: {key: None if value is None else round(value, 4) for key, value in figures.items()}
            for name, figures in found.items()
        }
        EXPECTED.write_text(json.dumps(rounded, indent=1) + "\n", "utf-8")
        print(f"wrote {EXPECTED}")


def _number(value: float | None) -> str:
    return "     -" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
