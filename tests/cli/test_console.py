from __future__ import annotations

import io
from pathlib import Path

from pipeline.cli.console import counted, progress, shown, table


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_a_line_now_and_then_and_how_it_ended():
    now, log = [0.0], io.StringIO()
    with progress("training", 1500, file=log, clock=lambda: now[0]) as bar:
        for step in range(100, 1001, 100):
            now[0] += 4.0
            bar.to(step, f"loss {step / 1000}")

    assert log.getvalue().splitlines() == [
        "training: 300 of 1,500, loss 0.3",
        "training: 600 of 1,500, loss 0.6",
        "training: 900 of 1,500, loss 0.9",
        "training: 1,000 of 1,500, loss 1.0",
    ]


def test_progress_without_a_total_says_how_much_is_done():
    log = io.StringIO()
    with progress("reading", file=log, clock=lambda: 0.0) as bar:
        bar.to(2000)

    assert log.getvalue() == "reading: 2,000\n"


def test_a_job_that_never_began_says_nothing():
    log = io.StringIO()
    with progress("reading", 5, file=log, clock=lambda: 0.0):
        pass

    assert log.getvalue() == ""


def test_a_terminal_gets_a_bar():
    terminal = Terminal()
    with progress("training", 4, file=terminal) as bar:
        bar.to(4, "loss 0.1")

    assert "training" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()
    assert "loss 0.1" in terminal.getvalue()


def test_things_are_counted_in_words():
    assert [counted(1, "channel"), counted(2000, "channel"), counted(0, "row"), counted(3, "series")] == [
        "1 channel",
        "2,000 channels",
        "0 rows",
        "3 series",
    ]


def test_a_table_stands_in_columns_without_blanks_at_the_end():
    assert table([("a", "bb", ""), ("ccc", "d", "e")], indent="  ") == "  a    bb\n  ccc  d   e"


def test_a_path_is_shown_as_it_is_reached_from_here(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    monkeypatch.chdir(tmp_path)

    assert shown(tmp_path / "configs" / ".." / "bundles") == "bundles"
    assert shown(Path("/etc")) == "/etc"
