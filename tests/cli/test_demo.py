import contextlib
import io
import json
import re
import struct

import pytest

from pipeline.cli.demo_kafka import Service, compared, total
from pipeline.cli.main import main
from pipeline.exceptions import PlumblineError
from pipeline.settings import parse_settings

WHAT = (
    r"What: (?P<found>\d) of 4 labelled windows found with (?P<incidents>\d+) incidents in 10 weeks; "
    r"(?P<exceeded>\S+) of the readings exceeded, (?P<allowed>\S+) were allowed"
)
PAGE = """\
# HELP plumbline_readings_total Records by outcome.
# TYPE plumbline_readings_total counter
plumbline_readings_total{detector="machine",outcome="scored"} 20000.0
plumbline_readings_total{detector="machine",outcome="late"} 11.0
plumbline_lag_records{partition="0",topic="machine"} 3.0
"""


def demo(*options):
    """Exit code and standard output of a demo."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = main(["demo", *options])
    return code, said.getvalue()


def assert_story(said, out):
    """The three last lines, the alerts and the picture are what the demo promises."""
    what, fast, look = said.splitlines()[-3:]
    told = re.fullmatch(WHAT, what)
    events = [json.loads(line) for line in (out / "alerts.jsonl").read_text().splitlines()]
    png = (out / "demo.png").read_bytes()
    width, height = struct.unpack(">II", png[16:24])

    assert told, what
    assert fast.startswith("Fast: 20,679 readings ")
    assert look.startswith(f"Look: {out / 'demo.png'}; {len(events)} events in {out / 'alerts.jsonl'}; ")
    assert int(told["found"]) >= 2
    assert 5 <= int(told["incidents"]) <= 12
    assert float(told["exceeded"]) <= 2 * float(told["allowed"])
    assert len({event["id"] for event in events}) == int(told["incidents"])
    assert png.startswith(b"\x89PNG")
    assert 1000 <= width <= 4000
    assert 500 <= height <= 4000
    assert len(png) > 50_000
    return events


@pytest.mark.slow
def test_the_demo_tells_its_story_from_the_file(tmp_path):
    out = tmp_path / "not" / "there"
    code, said = demo("--out", str(out))
    events = assert_story(said, out)

    assert code == 0
    for event in events:
        assert (f"  {event['sentence']}\n" in said) == (event["event"] != "updated")


@pytest.mark.slow
def test_the_demo_tells_its_story_through_kafka(kafka, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    code, said = demo("--kafka", "--out", str(tmp_path))
    events = assert_story(said, tmp_path)
    settings = parse_settings((tmp_path / "plumbline.yaml").read_text(), tmp_path / "plumbline.yaml")
    topic = settings.outputs.alerts

    assert code == 0
    assert all(f"  {event['sentence']}\n" in said for event in events), "the service says every event"
    assert f"{topic} holds {len(events)} events of " in said
    assert "the same ids in the same order as from a Monitor that reads the file" in said
    assert f'plumbline_lag_records{{partition="0",topic="{settings.detector().topic}"}} 0\n' in said
    assert re.search(r"ended \S+ s after SIGTERM with exit code 0", said)
    assert main(["check", str(tmp_path / "plumbline.yaml"), "--connect"]) == 0


def test_what_is_missing_for_kafka_is_said_before_the_training(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    code = main(["demo", "--kafka", "--out", str(tmp_path / "out")])

    assert code == 1
    assert capsys.readouterr().err == (
        "plumbline: no Kafka can be started here: no java on the path: install Java 17 or newer; "
        "or name one that runs in KAFKA_BOOTSTRAP_SERVERS\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_service_that_ends_by_itself_is_reported_with_the_end_of_its_log(tmp_path):
    config, log = tmp_path / "plumbline.yaml", tmp_path / "serve.log"
    config.write_text("detectors: {machine: {}}\n")
    with (
        Service(config, "127.0.0.1:1", log) as service,
        pytest.raises(PlumblineError, match=r"exit code 2; the end of .*serve\.log:\nplumbline: detectors\.machine"),
    ):
        service.wait_until_ready()


def test_events_other_than_the_monitors_are_an_error():
    raised = [("a", "raised"), ("a", "cleared"), ("b", "raised")]

    assert compared("alerts", raised, raised).startswith("alerts holds 3 events of 2 incidents: the same ids")
    for sent in ([], raised[:2], raised[::-1], [*raised, raised[2]], [("a", "raised"), ("c", "cleared"), raised[2]]):
        with pytest.raises(PlumblineError, match="alerts holds other events than a Monitor raises"):
            compared("alerts", sent, raised)


def test_samples_of_one_name_are_added_up():
    assert total(PAGE, "plumbline_readings_total") == 20_011
    assert total(PAGE, "plumbline_lag_records") == 3
    assert total(PAGE, "plumbline_readings") == 0
