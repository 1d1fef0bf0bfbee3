"""`plumbline explain`."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.backtest.explanation import Explanation
from pipeline.backtest.explanation import explain as explained_of
from pipeline.backtest.verdict import Rows, channel_rows, notes, score_rows, verdict, view_rows
from pipeline.bundle import load
from pipeline.cli.backtest import named_like, note_unread
from pipeline.cli.choosing import Choice, chosen
from pipeline.cli.columns import detector_settings, open_files
from pipeline.cli.console import note, say, shown
from pipeline.exceptions import DataError, SettingsError
from pipeline.monitor.monitor import Monitor
from pipeline.records import Outcome

KINDS = (".png", ".pdf", ".svg")
NARROWEST = 110  # columns: a log has no width of its own


def explain(
    config: Path | None = None,
    /,
    *,
    bundle: Path,
    test: list[Path],
    at: str | None = None,
    row: int | None = None,
    alert: str | None = None,
    series: str | None = None,
    detector: str | None = None,
    ignore: list[str] | None = None,
    fresh: bool = False,
    out: Path | None = None,
) -> None:
    """Say why a reading was or was not flagged.

    The same monitor as in the service and the backtest reads the series up to the reading. What it made of it is told:
    one sentence, then the channels, the views and the score with its bar, and what would have been needed. Without a
    choice it is the reading that raised the incident with the highest score, or the one with the highest score where
    that is in no incident. The peak of the incident is named beside; it is asked for as any other reading, by --at or
    --row. Times are UTC unless the configuration says else.

    Parameters
    ----------
    config
        A configuration, for its policy; without one the defaults hold.
    bundle
        The detector.
    test
        The files and folders with the reading, and with what came before it.
    at
        The time of the reading; a sample number where samples are counted; else a whole number is a row.
    row
        The row of the reading, all rows of the files counted from 0, as in scores.parquet.
    alert
        The reading that raised the incident of this id; its first letters will do.
    series
        The series, where several have a reading of that time.
    detector
        Which of the configuration's detectors.
    ignore
        Not these columns.
    fresh
        Begin cold: forget where the history ended.
    out
        A picture of the neighbourhood: .png, .pdf or .svg.
    """
    choice = Choice(at, row, alert, series)
    if out is not None and out.suffix not in KINDS:
        raise SettingsError(
            f"--out {out}: a picture is {', '.join(KINDS)}; {out.suffix or 'no suffix'} is none of them"
        )
    settings = detector_settings(config, detector)
    learnt = load(bundle)
    tables = open_files(test, settings, learnt.names, ignore)
    note_unread(tables)
    learnt = named_like(learnt, tables)
    if tables.clock != learnt.clock:
        raise DataError(
            f"{tables.files[0].path}: its timestamps are taken for {tables.clock}, the detector's are {learnt.clock}"
        )
    monitor = Monitor(learnt, settings.policy, name=settings.name, fresh=fresh)
    last = {} if fresh else {name: found for name in learnt.series if (found := monitor.last(name)) is not None}
    readings, place = chosen(choice, tables, monitor, last)
    explained = explained_of(learnt, settings.policy, readings, place, fresh=fresh)
    tell(explained)
    if out is not None:
        draw(explained, out)


def tell(explained: Explanation) -> None:
    """The sentence, the tables behind it, and what else there is to know."""
    say(verdict(explained))
    tables = [channel_rows(explained)]
    if explained.outcome == Outcome.SCORED:
        tables += [view_rows(explained), score_rows(explained)]
    for table in tables:
        say()
        show(table)
    say()
    for line in notes(explained):
        say(line)


def show(rows: Rows) -> None:
    """A small table; texts are set as they are, whatever brackets a name has."""
    from rich import box  # here: --help need not wait for it
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    console.width = max(console.width, NARROWEST)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in rows[0]:
        table.add_column(Text(head), overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def draw(explained: Explanation, out: Path) -> None:
    """Write the picture of the neighbourhood."""
    from pipeline.backtest.closeup import closeup  # here: matplotlib is slow to load

    sentence = verdict(explained).removeprefix(f"{explained.series} at ")
    try:
        figure = closeup(explained, sentence)
    except ValueError as error:
        raise DataError(f"--out {out}: {error}") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
    note(f"{shown(out)}: the neighbourhood as a picture")
