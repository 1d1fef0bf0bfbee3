"""A tagger as a folder: what `tag train` writes and `tag predict` reads."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.exceptions import BundleError, SettingsError

if TYPE_CHECKING:  # needs torch
    from pipeline.tagging.tagging import Tagger


def refuse_other_folder(out: Path) -> None:
    """Refuse, before the work is done, to put a tagger in the place of something else."""
    if out.exists():
        try:
            _manifest(out)
        except BundleError as error:
            raise SettingsError(f"{error}: choose another folder for --out") from error


def write_tagger(tagger: Tagger, figures: Mapping[str, Any], folder: Path) -> None:
    """Write a tagger; the folder appears whole or not at all, and takes the place of an older tagger."""
    from pipeline.tagging.saved import files_of

    files = files_of(tagger, figures)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
            new, old = Path(beside, "new"), Path(beside, "old")
            new.mkdir()
            for name, content in files.items():
                (new / name).write_bytes(content)
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
    except OSError as error:
        raise BundleError(f"{folder}: the tagger cannot be written: {error}") from error


def read_tagger(folder: Path) -> Tagger:
    """The tagger of a folder; BundleError where it is none, or was truncated or altered."""
    from pipeline.tagging.saved import WEIGHTS, tagger_of, weights_size

    manifest, file = _manifest(folder), folder / WEIGHTS
    try:
        if file.stat().st_size != weights_size(manifest, str(folder)):
            raise BundleError(
                f"{file} has not the size that was written: it was truncated or altered; train the tagger again"
            )
        return tagger_of(manifest, file.read_bytes(), str(folder))
    except OSError as error:
        raise BundleError(f"{file} cannot be read: {error}; train the tagger again") from error


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a tagger's folder; BundleError where it is none."""
    from pipeline.tagging.saved import LARGEST_MANIFEST, MANIFEST, read_manifest

    file = folder / MANIFEST
    try:
        if file.stat().st_size > LARGEST_MANIFEST:
            raise BundleError(f"{file} is larger than any manifest: this is no tagger")
        return read_manifest(file.read_bytes(), str(folder))
    except OSError as error:
        raise BundleError(f"{folder} is no tagger: its {MANIFEST} cannot be read ({error})") from error
