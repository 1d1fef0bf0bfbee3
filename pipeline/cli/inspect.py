"""`plumbline inspect`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pipeline.bundle import FORMAT, MANIFEST, load
from pipeline.cli.console import counted, say, table
from pipeline.cli.survey import duration, roughly
from pipeline.connectors import state_folder
from pipeline.detector.detector import Detector
from pipeline.exceptions import DataError
from pipeline.monitor.monitor import Monitor

NAMES_SHOWN = 12


def inspect(
    path: Path, /, *, bundle: Path | None = None, as_json: Annotated[bool, Parameter(name="--json")] = False
) -> None:
    """Show what is inside a bundle or saved state.

    A bundle is a folder that `plumbline train` wrote; saved state is the folder that `plumbline serve` keeps, or one
    of its files. What is damaged is said to be so.

    Parameters
    ----------
    path
        The folder or file.
    bundle
        The bundle that saved state belongs to: its series that are not scored yet are listed too, with the readings
        that each still needs and the time that these take.
    as_json
        As JSON, with every name.
    """
    if (path / MANIFEST).is_file():
        if bundle is not None:
            raise DataError(f"{path} is a bundle itself; --bundle says which one saved state belongs to")
        facts = bundle_facts(path)
    elif path.is_file() and path.suffix == state_folder.SUFFIX:
        facts = state_facts([path], bundle)
    elif path.is_dir() and (files := list(state_folder.state_files(path))):
        facts = state_facts(files, bundle)
    elif path.exists():
        raise DataError(f"{path} holds neither a bundle ({MANIFEST}) nor saved state ({state_folder.SUFFIX} files)")
    else:
        raise DataError(f"{path}: there is no such file or folder")
    say(json.dumps(facts, indent=2, ensure_ascii=False) if as_json else _text(facts))


def bundle_facts(path: Path) -> dict[str, Any]:
    """What a bundle holds, ready for JSON."""
    detector = load(path)
    return {
        "bundle": str(path),
        "format": FORMAT,
        "digest": detector.digest,
        "channels": {channel.name: channel.role for channel in detector.channels},
        "clock": detector.clock,
        "step": step_in_words(detector),
        "period": detector.period,
        "series": list(detector.series),
        "calibration": [len(calibration.sample) for calibration in detector.calibrations],
        "never_seen": _left(2 * detector.settings.warm_up, detector.step, detector),
        "slot_bytes": len(next(iter(detector.slots.values()))),
        "bundle_bytes": sum(file.stat().st_size for file in path.iterdir()),
        "extends": [each.digest for each in detector.extends],
        "figures": dict(detector.figures),
    }


def state_facts(files: Sequence[Path], bundle: Path | None = None) -> dict[str, Any]:
    """What saved state holds, ready for JSON; with its bundle also which series warm up.

    DataError where none of it belongs to the bundle.
    """
    held = [state_folder.read_state(file) for file in files]
    facts: dict[str, Any] = {
        "format": state_folder.VERSION,
        "partitions": [
            {
                "detector": each.detector,
                "digest": each.state.digest,
                "topic": each.partition.topic,
                "partition": each.partition.number,
                "offset": each.state.offset,
                "series": list(each.state.slots),
                "slot_bytes": max(map(len, each.state.slots.values()), default=0),
                "file_bytes": file.stat().st_size,
            }
            for file, each in zip(files, held, strict=True)
        ],
    }
    return facts if bundle is None else {**facts, "warming": _warming(held, bundle)}


def _warming(held: Sequence[state_folder.StateFile], bundle: Path) -> list[dict[str, Any]]:
    """The series that are not scored yet or not again, those that need most first."""
    detector = load(bundle)
    mine = [each for each in held if each.state.digest in detector.kin]
    if not mine:
        found = ", ".join(sorted({each.state.digest[:12] for each in held}))
        raise DataError(f"{bundle} is detector {detector.digest[:12]}; this state belongs to {found}")
    warming = []
    for each in mine:
        monitor = Monitor(detector)
        monitor.restore(each.state.slots)
        for series in each.state.slots:
            standing = monitor.standing(series)
            if standing.unscored:
                warming.append({"series": series, **_left(standing.unscored, standing.step, detector)})
    return sorted(warming, key=lambda one: -one["readings"])


def _left(readings: int, step: int, detector: Detector) -> dict[str, Any]:
    """How many readings a series needs until it is scored, and how long that takes; None with an index clock."""
    return {"readings": readings, "seconds": readings * step / 1e6 if detector.clock == "time" else None}


def step_in_words(detector: Detector) -> str:
    """How often a reading comes."""
    if detector.clock == "index":
        return "samples counted one by one"
    return f"a reading every {duration(detector.step)}{'' if detector.regular else ', irregularly'}"


def _text(facts: dict[str, Any]) -> str:
    if "partitions" in facts:
        head = ("detector", "topic", "partition", "offset", "series", "slot_bytes", "file_bytes", "digest")
        rows = [head, *(tuple(_cell(part[key]) for key in head) for part in facts["partitions"])]
        return table(rows) + (_warming_in_words(facts["warming"]) if "warming" in facts else "")
    pooled, *own = facts["calibration"]
    shown = {
        **facts,
        "channels": [name if role == "sensor" else f"{name} ({role})" for name, role in facts["channels"].items()],
        "calibration": f"{pooled:,} errors pooled, {len(own)} series with their own",
        "never_seen": f"a series never seen is scored after {_left_in_words(facts['never_seen'])}",
        "extends": ", ".join(digest[:12] for digest in facts["extends"]) or "no other",
    }
    rows = [(key, _shown(value)) for key, value in shown.items() if key != "figures"]
    return table([*rows, *((f"figures.{key}", _shown(value)) for key, value in facts["figures"].items())])


def _warming_in_words(warming: Sequence[dict[str, Any]]) -> str:
    if not warming:
        return "\n\nevery series is scored"
    rows = [(one["series"], _left_in_words(one)) for one in warming]
    return "\n\n" + table([("warming up", "is scored after"), *rows])


def _left_in_words(left: dict[str, Any]) -> str:
    about = "" if left["seconds"] is None else f", about {roughly(left['seconds'])}"
    return counted(left["readings"], "reading") + about


def _shown(value: object) -> str:
    """A fact on one line."""
    if isinstance(value, list):
        names = ", ".join(map(str, value[:NAMES_SHOWN]))
        return f"{len(value)}: {names}{', ...' * (len(value) > NAMES_SHOWN)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _cell(value: object) -> str:
    return str(len(value)) if isinstance(value, list) else str(value)[:12]
