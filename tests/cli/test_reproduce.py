"""Alerts of a real service on a real broker, scored again."""

import json
import secrets
from dataclasses import replace

import pandas as pd
import pytest
from kafka import KafkaAdminClient, TopicPartition

from pipeline.bundle import load, save
from pipeline.cli.main import main
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.detector.detector import Extended
from pipeline.monitor.monitor import Monitor
from pipeline.service.ports import Message
from tests.laws.live import Live
from tests.service.small import CHANNELS, bundled, calm_values, with_faults

pytestmark = pytest.mark.timeout(240)
ROWS, FAULT = 300, 150


@pytest.fixture(scope="module")
def frame():
    """Two series side by side, of which one has a fault."""
    moments = pd.date_range("2026-03-01", periods=ROWS, freq="min", tz="UTC")
    parts = [
        pd.DataFrame(values, columns=CHANNELS).assign(timestamp=moments, series=series)
        for series, values in (
            ("north", with_faults(calm_values(ROWS, seed=3), [FAULT])),
            ("south", calm_values(ROWS, seed=4)),
        )
    ]
    return pd.concat(parts).sort_values(["timestamp", "series"], ignore_index=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundled(tmp_path_factory.mktemp("bundles") / "pumps")


class Told:
    """A service that has told alerts and was stopped: its configuration, and the incident of the fault."""

    def __init__(self, live, frame):
        self.live, self.config = live, live.config
        fault = frame["timestamp"].iloc[2 * FAULT].isoformat().replace("+00:00", "Z")
        alerts = live.read("alerts")
        self.id = next(alert["id"] for alert in alerts if (alert["series"], alert["at"]) == ("north", fault))
        self.events = [alert for alert in alerts if alert["id"] == self.id]
        self.raised = self.events[0]
        self.partition = TopicPartition(f"{live.name}-readings", self.raised["partition"])

    def reproduce(self, capsys, *options, config=None, alert=None):
        """The exit code, and standard output by lines."""
        capsys.readouterr()
        code = main(["reproduce", str(config or self.config), alert or self.id, *map(str, options)])
        return code, capsys.readouterr().out.splitlines()

    def change(self, folder, old, new):
        """Another configuration, which says something else."""
        text = self.config.read_text()

        assert old in text

        path = folder / "changed.yaml"
        path.write_text(text.replace(old, new))
        return path

    def forget_records_before(self, offset):
        admin = KafkaAdminClient(bootstrap_servers=self.live.servers)
        admin.delete_records({self.partition: offset})
        admin.close()


@pytest.fixture(scope="module")
def told(kafka, tmp_path_factory, bundle, frame):
    name = f"plumbline-test-reproduce-{secrets.token_hex(3)}"
    with Live(kafka, name, tmp_path_factory.mktemp("live"), bundle) as live:
        for some in (frame[: 2 * FAULT + 20], frame[2 * FAULT + 20 :]):  # stopped within the incident
            live.publish(some)
            live.start()
            live.read("scores", some.index[-1] + 1)

            assert live.stop()[0] == 0

        yield Told(live, frame)


@pytest.mark.kafka
@pytest.mark.slow
def test_an_alert_of_the_service_comes_out_again_over_a_restart(told, capsys):
    code, lines = told.reproduce(capsys)

    assert [event["event"] for event in told.events] == ["raised", "cleared"]
    assert lines[0] == f"{told.id}: {told.raised['sentence']}"
    assert any(
        line.split() == ["score", f"{told.raised['score']:.8g}", f"{told.raised['score']:.8g}"] for line in lines
    )
    assert lines[-1] == "reproduced: 2 events came out the same, to the last digit"
    assert lines[-2].endswith(
        f"scored again from the first record of {told.partition.topic}[{told.partition.partition}] on"
    )
    assert code == 0


@pytest.mark.kafka
@pytest.mark.slow
def test_the_first_letters_of_an_id_will_do(told, capsys):
    assert told.reproduce(capsys, alert=told.id[:9].upper())[0] == 0


@pytest.mark.kafka
@pytest.mark.slow
def test_an_alert_whose_readings_were_altered_does_not(told, frame, tmp_path, kafka, capsys):
    topic = f"{told.live.name}-altered"
    create_topic(Cluster(kafka), topic, partitions=2)
    config = told.change(tmp_path, f"topic: {told.live.name}-readings", f"topic: {topic}")
    altered = frame.copy()
    altered.loc[2 * FAULT - 2, "temp"] += 0.2  # of the same series, before the fault
    altered.to_parquet(tmp_path / "altered.parquet", index=False)
    main(["publish", str(config), "--data", str(tmp_path / "altered.parquet")])
    code, lines = told.reproduce(capsys, config=config)

    assert code == 1
    assert any(line.split()[0] == "score" and line.endswith("<- differs") for line in lines if line)
    assert lines[-1].startswith("not reproduced: raised came out with other numbers (score, ")
    assert "Nothing of the past is lacking. What is left: records that are not those of then" in lines[-1]


@pytest.mark.kafka
@pytest.mark.slow
def test_a_past_too_short_is_said_to_be(told, capsys):
    code, lines = told.reproduce(capsys, "--records", 5)

    assert code == 1
    assert any("none (warming)" in line for line in lines)
    assert "on; --from-start begins at 0" in lines[-2]
    assert lines[-1].endswith("The bar and the habits of a series hang on all that came before: try --from-start.")
    assert told.reproduce(capsys, "--from-start")[0] == 0


@pytest.mark.kafka
@pytest.mark.slow
def test_another_promise_is_named(told, tmp_path, capsys):
    code, lines = told.reproduce(capsys, config=told.change(tmp_path, "probability: 0.01", "probability: 0.02"))

    assert code == 1
    assert "The promise is another one by now: take the policy of then." in lines[-1]


@pytest.mark.kafka
@pytest.mark.slow
def test_another_detector_is_not_asked(told, tmp_path, bundle, capsys):
    other = bundled(tmp_path / "other", seed=1)
    config = told.change(tmp_path, f"bundle: {bundle}", f"bundle: {other}")
    code, lines = told.reproduce(capsys, config=config)

    assert code == 1
    assert lines[-1].startswith(
        f"cannot be reproduced: it is of the detector {told.raised['digest'][:12]}, and {other} is "
    )
    assert told.reproduce(capsys, "--bundle", bundle, config=config)[0] == 0


@pytest.mark.kafka
@pytest.mark.slow
def test_a_detector_with_series_more_tells_it_again_but_not_of_a_series_that_was_added(told, tmp_path, bundle, capsys):
    detector = load(bundle)
    twice, slot = detector.calibrations * 2, next(iter(detector.slots))
    bundles = {}
    for name, series in (("others", (slot,)), ("added", (slot, "north"))):
        was = Extended(detector.digest, 1, 1)
        heir = replace(detector, calibrations=twice, extends=(was,), slots={})
        save(replace(heir, slots={each: _of(heir, each) for each in series}), tmp_path / name)
        bundles[name] = tmp_path / name

    code, lines = told.reproduce(capsys, "--bundle", bundles["others"])
    assert code == 0, lines
    code, lines = told.reproduce(capsys, "--bundle", bundles["added"])
    assert code == 1
    assert lines[-1].startswith("cannot be reproduced: it is of the detector")


def _of(detector, series):
    """A slot of a series that has had no reading."""
    monitor = Monitor(detector)
    monitor.standing(series)
    return monitor.snapshot()[series]


@pytest.mark.kafka
@pytest.mark.slow
def test_an_id_that_is_not_there_is_answered_with_those_that_are(told, capsys):
    code = main(["reproduce", str(told.config), "zzz"])
    said = capsys.readouterr().err

    assert code == 2
    assert f"no alert in {told.live.name}-alerts has an id that begins with zzz: it holds " in said
    assert told.id in said


@pytest.mark.kafka
@pytest.mark.slow
def test_what_is_no_alert_or_was_told_twice_changes_nothing(told, kafka, capsys):
    sink, topic = KafkaSink(Cluster(kafka)), f"{told.live.name}-alerts"
    for value in (b"hello", b"[]", None, b'{"id": "%b"}' % told.id.encode(), json.dumps(told.raised).encode()):
        sink.send(Message(topic, b"key", value))
    sink.flush(10)
    sink.close(5)
    code, lines = told.reproduce(capsys)

    assert (code, lines[-1]) == (0, "reproduced: 2 events came out the same, to the last digit")


@pytest.mark.kafka
@pytest.mark.slow
def test_deleted_records_are_named_as_what_is_lacking(told, capsys):  # the last of this file: they stay deleted
    told.forget_records_before(told.raised["offset"] - 30)
    partly, lines = told.reproduce(capsys, "--from-start")
    told.forget_records_before(told.raised["offset"] + 1)
    gone, without = told.reproduce(capsys)

    assert (partly, gone) == (1, 1)
    assert "where the log begins: what came before was deleted" in lines[-2]
    assert "What the service remembered of the records that were deleted is not to be had" in lines[-1]
    assert without[-1] == (
        f"cannot be reproduced: the log of {told.partition.topic}[{told.partition.partition}] begins at "
        f"{told.raised['offset'] + 1} by now, and the reading at {told.raised['offset']} was deleted"
    )


def test_without_a_topic_of_alerts_there_is_nothing_to_score_again(tmp_path, capsys):
    path = tmp_path / "plumbline.yaml"
    path.write_text("{kafka: {}, detectors: {pumps: {input: {topic: readings}}}, outputs: {alerts: null}}")

    assert main(["reproduce", str(path), "3f2c9a"]) == 2
    assert "outputs.alerts is null: there is no topic that the alert could stand in" in capsys.readouterr().err
