"""A disk that takes nothing, at the start and in the middle of a run: said, tried again, and nothing is lost."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager, suppress

import pytest

from pipeline.cli.main import main
from tests.laws.live import Live
from tests.laws.test_parity import about, assert_same, backtest, bundle, later  # noqa: F401  fixtures

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@contextmanager
def disk(folder, options="size=4m"):
    """A disk of its own at this folder; for it the tests have to run as root."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no disk of its own: we may not mount one here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def full(folder):
    """Nothing more fits."""
    rest = folder / "rest"
    with suppress(OSError), rest.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    yield
    rest.unlink()


def read_only(folder):
    """What lies below may not be written any more, as after an error of the disk."""
    return disk(folder / "pumps", "ro")


TROUBLES = {"full": (full, "No space left on device"), "read-only": (read_only, "Read-only file system")}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_disk_that_takes_nothing_is_told_and_tried_again_and_nothing_is_lost(
    kafka,
    fresh_name,
    tmp_path,
    bundle,  # noqa: F811
    backtest,  # noqa: F811
    later,  # noqa: F811
    trouble,
):
    begin, said = TROUBLES[trouble]
    with disk(tmp_path / "state") as state, Live(kafka, fresh_name, tmp_path, bundle) as live:
        live.change("every_seconds: 30", "every_seconds: 2")
        live.publish(later[:400])
        live.start()
        live.wait_for("saved=2")
        with begin(state):
            live.publish(later[400:])
            live.wait_for(f"cannot be written: {said}")
            live.read_until("scores", lambda rows: len({about(row) for row in rows}) == len(later))
        code, _ = live.stop()

        assert code == 0, live.log()
        assert_same(backtest, live.read("scores"), live.read("alerts"))  # each once: nothing was begun anew


def test_a_disk_that_is_read_only_is_one_message_at_the_start(kafka, fresh_name, tmp_path, bundle, capsys):  # noqa: F811
    with disk(tmp_path / "state", "ro"), Live(kafka, fresh_name, tmp_path, bundle) as live:
        assert main(["serve", str(live.config)]) == 1
        assert "lock cannot be written: Read-only file system; mend the disk, or set state.folder" in (
            capsys.readouterr().err
        )
