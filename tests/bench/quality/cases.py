"""The series that quality of detection is measured on: what is learnt from, what is judged, and its labels.

.venv/bin/python -m tests.bench.quality.cases [--data FOLDER]      counts them

Every series has the index clock, and its test part goes on where its train part ends. Two modes:

strict  the data set's own train and test part. Where it has none: nab the first 15 % of a file and at most 750 rows,
        skab the first 400 rows of a file.
tsb     the benchmark TSB-AD's: train is the first `tr` rows of the *test* file, and the whole test file is judged from
        its first row by a monitor that begins cold. Only series that its file list names.

`injected` is made here: both its parts are halves of a train part of ucr, and into the second an anomaly is put.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pipeline.records import Readings
from pipeline.training.history import History
from tests.bench.quality.injected import KINDS, SIGNALS, with_anomaly
from tests.bench.quality.tuning_list import on_list

Mode = Literal["strict", "tsb"]
Channels = Literal["value", "all"]  # of smap and msl: the telemetry alone, or the commands as well

STRICT = ("ucr", "nab", "smd", "skab", "smap", "msl", "asd", "injected")
TSB = ("smd", "smap", "msl")
NAB_SHARE, NAB_ROWS, SKAB_ROWS = 0.15, 750, 400  # of train
NO_CHANNELS = ("timestamp", "label", "changepoint", "class")
FEWEST_TSB_ROWS, ROWS_BEFORE_EVENT = 500, 100  # of a train prefix
NAME_IN_TSB = re.compile(r"(?P<number>\d+)_(?P<dataset>[A-Za-z]+)_id_\d+_\w+_tr_(?P<train>\d+)_1st_(?P<first>\d+)\.csv")


@dataclass(frozen=True, slots=True)
class Entry:
    """One series before it is read; cheap, and what a process of the pool is given."""

    dataset: str
    series: str
    mode: Mode
    on_list: bool
    train_path: Path
    test_path: Path  # the same where the file is cut in two
    train_rows: int | None  # the first so many of the train file; None: all of it
    rows: int  # of both parts, for the order of work
    channels: Channels
    kind: str | None = None  # of the anomaly that is put in; the series is then named SIGNAL/KIND
    official: tuple[str, ...] = ()  # in tsb mode: the numbers of the benchmark's names with this train part and event


@dataclass(frozen=True, slots=True)
class Case:
    """One series read: R rows of train, T rows of test, C channels, index clock."""

    dataset: str
    series: str
    mode: Mode
    on_list: bool
    names: tuple[str, ...]  # (C,) channels
    train: History
    test: History
    labels: npt.NDArray[np.uint8]  # (T,) 1 is anomalous
    fresh: bool  # the monitor begins cold, for the test part does not come after train


def entries(data: Path, dataset: str, mode: Mode = "strict", channels: Channels = "value") -> list[Entry]:
    """The series of a data set by name, of which nothing but sizes (and in tsb mode labels) is read."""
    known = STRICT if mode == "strict" else TSB
    if dataset not in known:
        raise ValueError(f"there is no data set {dataset!r} in mode {mode}: one of {', '.join(known)} is needed")
    if dataset == "injected":
        return _injected_entries(data, channels)
    folder = data / dataset
    pattern = {"nab": "*/*.parquet", "skab": "*/*.parquet"}.get(dataset, "test/*.parquet")
    found = sorted(path for path in folder.glob(pattern) if path.parent.name != "anomaly-free")
    if not found:
        raise FileNotFoundError(
            f"{folder}: there is no {pattern}; --data or PLUMBLINE_DATA names the folder of the data"
        )
    if mode == "tsb":
        return [entry for path in found if (entry := _tsb_entry(data, dataset, path, channels)) is not None]
    return [_strict_entry(dataset, path, channels) for path in found]


def _strict_entry(dataset: str, path: Path, channels: Channels) -> Entry:
    rows = pq.read_metadata(path).num_rows
    if dataset in ("nab", "skab"):
        series = f"{path.parent.name}/{path.stem}"
        train = min(int(rows * NAB_SHARE), NAB_ROWS) if dataset == "nab" else SKAB_ROWS
        return Entry(dataset, series, "strict", on_list(dataset, series), path, path, train, rows, channels)
    before = path.parents[1] / "train" / path.name
    rows += pq.read_metadata(before).num_rows
    return Entry(dataset, path.stem, "strict", on_list(dataset, path.stem), before, path, None, rows, channels)


def _injected_entries(data: Path, channels: Channels) -> list[Entry]:
    """A series for each kind of anomaly and each training part that the folder holds; no file of test is opened."""
    folder = data / "ucr" / "train"
    there = {path.stem.partition("_")[0]: path for path in folder.glob("*.parquet")}
    found = [(signal, there[number]) for signal, number in SIGNALS.items() if number in there]
    if not found:
        raise FileNotFoundError(
            f"{folder}: there is none of the training parts {', '.join(SIGNALS.values())}; --data or PLUMBLINE_DATA "
            "names the folder of the data"
        )
    made = []
    for signal, path in found:
        rows = pq.read_metadata(path).num_rows
        for kind in KINDS:
            series = f"{signal}/{kind}"
            listed = on_list("injected", series)
            made.append(Entry("injected", series, "strict", listed, path, path, rows // 2, rows, channels, kind))
    return made


def _tsb_entry(data: Path, dataset: str, path: Path, channels: Channels) -> Entry | None:
    """The entry of a test file that the benchmark's list names; None where it does not.

    The list has its own numbers for series. Its train part is a quarter of the series, or ends 100 rows before the
    first anomalous row, at least 500 rows: with the position of that row this tells the series. Names that agree in
    both mean the same prefix, whichever is meant.
    """
    labels = _labels(path)
    if not labels.any():
        return None
    first = int(np.argmax(labels))
    train = max(min(len(labels) // 4, first - ROWS_BEFORE_EVENT), FEWEST_TSB_ROWS)
    official = tuple(
        name["number"]
        for name in map(NAME_IN_TSB.fullmatch, (data / "tsb-ad" / "TSB-AD-M.csv").read_text("utf-8").splitlines())
        if name and (name["dataset"].lower(), int(name["train"]), int(name["first"])) == (dataset, train, first)
    )
    if not official:
        return None
    listed = on_list(dataset, path.stem)
    rows = len(labels) + train
    return Entry(dataset, path.stem, "tsb", listed, path, path, train, rows, channels, official=official)


def unmatched(data: Path, dataset: str) -> list[str]:
    """The test files that the benchmark's list does not name, or not by any name that can be told."""
    named = {entry.series for entry in entries(data, dataset, "tsb")}
    return sorted(path.stem for path in (data / dataset / "test").glob("*.parquet") if path.stem not in named)


def read(entry: Entry) -> Case:
    """The rows of one series."""
    if entry.kind is not None:
        return _read_injected(entry, entry.kind)
    names = _channel_names(entry)
    learnt = _values(entry.train_path, names)[: entry.train_rows]
    judged, labels = _values(entry.test_path, names), _labels(entry.test_path)
    if entry.mode == "strict" and entry.train_rows is not None:
        judged, labels = judged[entry.train_rows :], labels[entry.train_rows :]
    first = 0 if entry.mode == "tsb" else len(learnt)
    return Case(
        dataset=entry.dataset,
        series=entry.series,
        mode=entry.mode,
        on_list=entry.on_list,
        names=names,
        train=_history(entry.series, 0, learnt),
        test=_history(entry.series, first, judged),
        labels=labels,
        fresh=entry.mode == "tsb",
    )


def _read_injected(entry: Entry, kind: str) -> Case:
    """The two halves under one name for all kinds of a signal, so that they can share what is learnt of the first."""
    signal = entry.series.removesuffix(f"/{kind}")
    names = _channel_names(entry)
    values = _values(entry.train_path, names)
    learnt, judged = values[: entry.train_rows], values[entry.train_rows :]
    changed, labels = with_anomaly(learnt[:, 0], judged[:, 0], signal, kind)
    return Case(
        dataset=entry.dataset,
        series=entry.series,
        mode=entry.mode,
        on_list=entry.on_list,
        names=names,
        train=_history(signal, 0, learnt),
        test=_history(signal, len(learnt), changed[:, None]),
        labels=labels,
        fresh=False,
    )


def cases(data: Path, dataset: str, mode: Mode = "strict", channels: Channels = "value") -> Iterator[Case]:
    """The series of a data set, read one after the other."""
    yield from map(read, entries(data, dataset, mode, channels))


def readings_of(history: History) -> Readings:
    """A history as a monitor takes it."""
    rows = len(history)
    none = np.zeros(rows, np.int32)
    return Readings([history.name], none, history.at, history.values, history.missing, none, np.arange(rows))


def data_folder(named: str | None = None) -> Path:
    """The folder of the data sets: as asked for, of PLUMBLINE_DATA, or beside the repository."""
    folder = Path(named or os.environ.get("PLUMBLINE_DATA") or Path(__file__).parents[4] / "shared" / "data")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; --data or PLUMBLINE_DATA names the folder of the data sets")
    return folder


def _channel_names(entry: Entry) -> tuple[str, ...]:
    found = [name for name in pq.read_schema(entry.test_path).names if name not in NO_CHANNELS]
    if entry.dataset in ("smap", "msl") and entry.channels == "value":
        found = ["value"]
    return tuple(found)


def _values(path: Path, names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    table = pq.read_table(path, columns=list(names))
    return np.stack([table[name].to_numpy().astype(np.float64) for name in names], axis=1)


def _labels(path: Path) -> npt.NDArray[np.uint8]:
    labels: npt.NDArray[np.uint8] = pq.read_table(path, columns=["label"])["label"].to_numpy().astype(np.uint8)
    return labels


def _history(name: str, first: int, values: npt.NDArray[np.float64]) -> History:
    return History(name, np.arange(first, first + len(values)), values, np.isnan(values))


def main() -> None:
    """Print how many series there are, on the list and off it, and which the benchmark's list does not name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    data = data_folder(parser.parse_args().data)
    print(f"{'mode':<7}{'data set':<10}{'series':>7}{'on list':>9}{'of them with a label in test':>30}")
    for mode, datasets in (("strict", STRICT), ("tsb", TSB)):
        for dataset in datasets:
            found = entries(data, dataset, mode)
            labelled = sum(entry.on_list and bool(read(entry).labels.any()) for entry in found)
            listed = sum(entry.on_list for entry in found)
            print(f"{mode:<7}{dataset:<10}{len(found):>7}{listed:>9}{labelled:>30}")
    for dataset in TSB:
        print(f"tsb {dataset}, not named: {' '.join(unmatched(data, dataset))}")
        shared = [
            f"{e.series} ({' or '.join(e.official)})" for e in entries(data, dataset, "tsb") if len(e.official) > 1
        ]
        print(f"tsb {dataset}, name not certain, prefix certain: {', '.join(shared) or 'none'}")


if __name__ == "__main__":
    main()
