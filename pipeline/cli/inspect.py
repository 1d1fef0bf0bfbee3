"""`plumbline inspect`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pipeline.bundle import FORMAT, MANIFEST, load
from pipeline.cli.console import say, table
from pipeline.cli.survey import duration
from pipeline.connectors import state_folder
from pipeline.detector.detector import Detector
from pipeline.exceptions import DataError

NAMES_SHOWN = 12


def inspect(path: Path, /, *, as_json: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """Show what is inside a bundle or saved state.

    A bundle is a folder that `plumbline train` wrote; saved state is the folder that `plumbline serve` keeps, or one
    of its files. What is damaged is said to be so.

    Parameters
    ----------
    path
        The folder or file.
    as_json
        As JSON, with every name.
    """
    if (path / MANIFEST).is_file():
        facts = bundle_facts(path)
    elif path.is_file() and path.suffix == state_folder.SUFFIX:
        facts = state_facts([path])
    elif path.is_dir() and (files := list(state_folder.state_files(path))):
        facts = state_facts(files)
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
        "slot_bytes": len(next(iter(detector.slots.values()))),
        "bundle_bytes": sum(file.stat().st_size for file in path.iterdir()),
        "figures": dict(detector.figures),
    }


def state_facts(files: Sequence[Path]) -> dict[str, Any]:
    """What saved state holds, ready for JSON."""
    held = [state_folder.read_state(file) for file in files]
    return {
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


def step_in_words(detector: Detector) -> str:
    """How often a reading comes."""
    if detector.clock == "index":
        return "samples counted one by one"
    return f"a reading every {duration(detector.step)}{'' if detector.regular else ', irregularly'}"


def _text(facts: dict[str, Any]) -> str:
    if "partitions" in facts:
        head = ("detector", "topic", "partition", "offset", "series", "slot_bytes", "file_bytes", "digest")
        rows = [head, *(tuple(_cell(part[key]) for key in head) for part in facts["partitions"])]
        return table(rows)
    pooled, *own = facts["calibration"]
    shown = {
        **facts,
        "channels": [name if role == "sensor" else f"{name} ({role})" for name, role in facts["channels"].items()],
        "calibration": f"{pooled:,} errors pooled, {len(own)} series with their own",
        "figures": "",
    }
    rows = [(key, _shown(value)) for key, value in shown.items() if key != "figures"]
    return table([*rows, *((f"figures.{key}", _shown(value)) for key, value in facts["figures"].items())])


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
