"""A Detector as a folder of tensors and JSON; digests and sizes are checked before anything is used.

    manifest.json         format, digest, channels, settings, figures; size and SHA-256 of the other files
    weights.safetensors   the network
    views.npz             what the views that look back have learnt, without pickles
    calibration.npz       what is normal, likewise
    slots.npz             where each fitted series stood at the end of its history

No file of a bundle can run code: a hostile one is refused or, at worst, is a detector that scores badly.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from pipeline.detector.calendar import CALENDAR_INPUTS
from pipeline.detector.calibration import Calibration
from pipeline.detector.detector import Channel, Detector, Extended, LookingBack
from pipeline.detector.engine import engine_of
from pipeline.detector.fit_settings import FitSettings
from pipeline.detector.past import Past
from pipeline.detector.views import Components, Linear, Memory, shapes
from pipeline.exceptions import BundleError

FORMAT = 6
MANIFEST, WEIGHTS, SLOTS = "manifest.json", "weights.safetensors", "slots.npz"
VIEWS, CALIBRATION = "views.npz", "calibration.npz"
LARGEST_MANIFEST = 64 * 2**20  # bytes
LARGEST_WINDOW = 4096  # readings
Arrays = dict[str, npt.NDArray[Any]]


def save(detector: Detector, folder: str | Path) -> None:
    """Write a detector; the folder appears whole or not at all, and takes the place of an older bundle.

    BundleError where the folder holds something else, or cannot be written.
    """
    target = Path(folder)
    if target.exists() and not (target / MANIFEST).is_file():
        raise BundleError(f"{target} exists and is no bundle: it has no {MANIFEST}; choose another folder for --out")
    files = _files(detector)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            for name, content in files.items():
                (beside / name).write_bytes(content)
            beside.chmod(0o755)
            if target.exists():
                older = beside.with_name(beside.name + "-old")
                target.rename(older)
                beside.rename(target)
                shutil.rmtree(older)
            else:
                beside.rename(target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise BundleError(f"{target}: the bundle cannot be written: {error}") from error


def load(folder: str | Path) -> Detector:
    """Read a detector; BundleError where the folder is no bundle of this format, or was truncated or altered."""
    path = Path(folder)
    manifest = _manifest(path)
    try:
        contents = {
            name: _checked(path / name, manifest["files"][name]) for name in (WEIGHTS, VIEWS, CALIBRATION, SLOTS)
        }
        detector = _detector(path, manifest, contents)
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise BundleError(f"{path}: the bundle is damaged or not ours: {error}; fit the detector again") from error
    if detector.digest != manifest["digest"]:
        raise BundleError(
            f"{path}: its parts make detector {detector.digest[:12]}, its manifest says {manifest['digest']!s:.12}; "
            f"it was altered, fit the detector again"
        )
    return detector


def _files(detector: Detector) -> dict[str, bytes]:
    arrays: Arrays = dict(detector.arrays())
    slots: Arrays = {
        "series": np.array(list(detector.slots), dtype=np.str_),
        "slots": np.stack([np.frombuffer(slot, np.uint8) for slot in detector.slots.values()]),
    }
    contents = {
        WEIGHTS: safetensors.numpy.save(detector.engine.tensors()),
        VIEWS: _npz(_under("views.", arrays)),
        CALIBRATION: _npz(_under("calibration.", arrays)),
        SLOTS: _npz(slots),
    }
    manifest = {
        "format": FORMAT,
        "digest": detector.digest,
        **detector.described(),
        "extends": [asdict(each) for each in detector.extends],
        "figures": dict(detector.figures),
        "files": {n: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in contents.items()},
    }
    return {**contents, MANIFEST: json.dumps(manifest, indent=2, allow_nan=False).encode()}


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if name.startswith(prefix)}


def _npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def _manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        if file.stat().st_size > LARGEST_MANIFEST:
            raise BundleError(f"{file} has {file.stat().st_size} bytes, more than any manifest: this is no bundle")
        manifest = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise BundleError(f"{path} is no bundle: it has no {MANIFEST}; `plumbline train` writes one") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{file} cannot be read: {error}; fit the detector again") from error
    if not isinstance(manifest, dict) or "format" not in manifest or not isinstance(manifest.get("files"), dict):
        raise BundleError(f"{file} is not the manifest of a bundle; fit the detector again")
    if manifest["format"] != FORMAT:
        raise BundleError(
            f"{path}: this program reads format {FORMAT}, the bundle has format {manifest['format']}; "
            f"fit the detector again"
        )
    return manifest


def _checked(file: Path, expected: Mapping[str, Any]) -> bytes:
    """The content of a file, after its size was compared and before anything is made of it."""
    try:
        size = file.stat().st_size
        if size != expected["bytes"]:
            raise BundleError(
                f"{file} has {size} bytes where the manifest says {expected['bytes']}: it was truncated or altered; "
                f"fit the detector again"
            )
        content = file.read_bytes()
    except OSError as error:
        raise BundleError(f"{file} cannot be read: {error}; fit the detector again") from error
    if hashlib.sha256(content).hexdigest() != expected["sha256"]:
        raise BundleError(f"{file} is not the file that was written: its SHA-256 differs; fit the detector again")
    return content


def _arrays(content: bytes) -> Arrays:
    """The arrays of an npz; ValueError where it is compressed, so that it cannot grow, or holds objects."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("an array is compressed: bundles hold plain arrays")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"an npz cannot be read: {error}") from error


def _detector(path: Path, manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> Detector:
    channels = tuple(Channel(str(c["name"]), c["role"]) for c in manifest["channels"])
    settings = FitSettings(**manifest["settings"])
    inputs = len(channels) + (CALENDAR_INPUTS if settings.calendar else 0)
    arrays, slots = _arrays(contents[CALIBRATION]), _arrays(contents[SLOTS])
    scored = sum(channel.role == "sensor" for channel in channels)
    detector = Detector(
        channels=channels,
        clock=manifest["clock"],
        step=int(manifest["step"]),
        regular=bool(manifest["regular"]),
        period=int(manifest["period"]),
        longest_runs=tuple(int(longest) for longest in manifest["longest_runs"]),
        settings=settings,
        engine=engine_of(safetensors.numpy.load(contents[WEIGHTS]), len(channels), inputs),
        slots={str(name): slot.tobytes() for name, slot in zip(slots["series"], slots["slots"], strict=True)},
        looking_back=_looking_back(_arrays(contents[VIEWS]), manifest["past"], scored),
        figures=manifest["figures"],
        extends=tuple(Extended(**each) for each in manifest.get("extends", ())),
        calibrations=tuple(_calibration(arrays, n, numbers) for n, numbers in enumerate(manifest["calibrations"])),
    )
    _check(detector)
    if detector.clock not in ("time", "index") or detector.step < 1 or detector.period < 1:
        raise BundleError(f"{path}: clock {detector.clock!r}, step {detector.step}, period {detector.period}: not ours")
    return detector


def _looking_back(arrays: Arrays, numbers: Mapping[str, int] | None, scored: int) -> LookingBack | None:
    """ValueError where what a view learnt does not fit the past that is kept of so many scored channels."""
    if numbers is None:
        if arrays:
            raise ValueError("a view looks back, and no past is kept")
        return None
    transition, entry = arrays["views.past.transition"], arrays["views.past.entry"]
    reach, window = int(numbers["reach"]), int(numbers["window"])
    if (
        entry.ndim != 1
        or transition.shape != (len(entry), len(entry))
        or reach < 1
        or not 0 <= window <= LARGEST_WINDOW
    ):
        raise ValueError(f"the past has a transition of shape {transition.shape} and a window of {window}")
    past = scored * len(entry)
    memory = Memory(_remembered(arrays, "memory", past), reach)
    shape = shapes(_remembered(arrays, "shape", past - 1), reach) if scored == 1 else None
    linear = _linear(arrays, (scored, len(entry))) if scored > 1 else None
    mean, basis, common = (arrays[f"views.components.{part}"] for part in ("mean", "basis", "common"))
    width = window or past
    shaped = basis.ndim == 2 and mean.shape == common.shape == basis.shape[:1] == (width,)
    if not shaped or not (common > 0).all():
        raise ValueError(f"the components have shape {basis.shape}, the past has {width} numbers")
    components = Components(mean, basis, common, window or reach)
    return LookingBack(Past(transition, entry, reach, window), memory, components, shape, linear)


def _remembered(arrays: Arrays, view: str, width: int) -> npt.NDArray[Any]:
    """The states of a view; ValueError where they are not of so many numbers."""
    states = arrays[f"views.{view}.states"]
    if states.ndim != 2 or states.shape[1] != width or not len(states):
        raise ValueError(f"the {view} has states of shape {states.shape}, the past has {width} numbers")
    return states


def _linear(arrays: Arrays, shape: tuple[int, int]) -> Linear:
    """The linear forecast; ValueError where it is not of so many channels and coefficients."""
    weights = arrays["views.linear.weights"]
    if weights.shape != shape:
        raise ValueError(f"the linear forecast has weights of shape {weights.shape}, the past has {shape}")
    return Linear(weights)


def _calibration(arrays: Arrays, number: int, numbers: Mapping[str, float]) -> Calibration:
    channel_scale, regional, high, band, sample = (
        arrays[f"calibration.{number}.{part}"] for part in ("channel_scale", "regional", "high", "band", "sample")
    )
    step, floor, tail = (float(numbers[part]) for part in ("step", "floor", "tail"))
    return Calibration(channel_scale, regional, high, band, sample, step, floor, tail)


def _check(detector: Detector) -> None:
    """ValueError where a shape does not fit or a number is not finite."""
    channels, smoothed = len(detector.channels), len(detector.owners)
    if not channels or not detector.scored.any() or not detector.calibrations or not detector.slots:
        raise ValueError("it has no scored channel, no calibration or no slot")
    if len(detector.longest_runs) not in (0, channels) or min(detector.longest_runs, default=0) < 0:
        raise ValueError(f"{len(detector.longest_runs)} longest runs for {channels} channels, or one below 0")
    _check_extends(detector)
    for number, calibration in enumerate(detector.calibrations):
        expected = {
            "channel_scale": (channels,),
            "regional": (detector.regions + 1,),
            "high": (smoothed,),
            "band": (2, channels),
        }
        for name, shape in expected.items():
            if getattr(calibration, name).shape != shape:
                raise ValueError(f"calibration {number} has {name} of shape {getattr(calibration, name).shape}")
        if not ((calibration.regional > 0).all() and (calibration.channel_scale > 0).all()):
            raise ValueError(f"calibration {number} has a channel or a region where no residual is common")
        if (calibration.high < 0).any():
            raise ValueError(f"calibration {number} has a quantile of errors below 0")
        if calibration.sample.ndim != 1 or len(calibration.sample) < 2 or (np.diff(calibration.sample) < 0).any():
            raise ValueError(f"calibration {number} has a sample that is not ascending")
    for name, array in detector.arrays():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name} holds something that is not a finite number")


def _check_extends(detector: Detector) -> None:
    """ValueError where it is not what one of the detectors became that it says it extends."""
    for each in detector.extends:
        fits = 0 < each.calibrations <= len(detector.calibrations) and 0 < each.series <= len(detector.slots)
        if not fits or detector.before(each).digest != each.digest:
            raise ValueError(f"it does not extend detector {each.digest[:12]}, as it says")
