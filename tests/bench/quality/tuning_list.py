"""The tuning list: the series on which choices may be made. The headline figure is what is not on it.

Of these, what the folder of the data sets holds. All of skab and nab is on the list. `ucr` is matched by number alone,
though many of its series share one recording: what is off the list is another series, not another recording.
`injected` is off the list, as the recordings that it is made of are, but has labels of its own: choices may be made on
it.
"""

from __future__ import annotations

UCR = [
    "004",
    "008",
    "020",
    "024",
    "028",
    "032",
    "036",
    "050",
    "054",
    "068",
    "097",
    "103",
    "114",
    "118",
    "130",
    "134",
    "138",
    "142",
    "156",
    "160",
]
SMD = ["1-2", "1-5", "1-7", "2-1", "2-2", "2-3", "2-7", "2-8", "3-4", "3-10"]
SMAP = [
    "P-1",
    "E-2",
    "E-5",
    "E-8",
    "E-11",
    "A-1",
    "P-3",
    "D-4",
    "A-4",
    "D-5",
    "F-1",
    "T-1",
    "D-9",
    "T-3",
    "B-1",
    "P-7",
    "A-6",
    "P-2",
    "F-3",
]
MSL = ["M-2", "T-4", "M-3", "P-15", "T-12", "F-5", "P-14", "D-15"]
WHOLE = ("skab", "nab")


def on_list(dataset: str, series: str) -> bool:
    """Whether choices may be made on this series."""
    if dataset in WHOLE:
        return True
    if dataset == "ucr":
        return series.partition("_")[0] in UCR
    if dataset == "smd":
        return series.removeprefix("machine-") in SMD
    return series in {"smap": SMAP, "msl": MSL}.get(dataset, [])
