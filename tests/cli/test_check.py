from __future__ import annotations

import pytest

from pipeline.bundle import load
from pipeline.cli.main import main
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.state_folder import StateFolder
from pipeline.service.ports import Partition, SavedState
from tests.registry_server import RegistryServer
from tests.service.small import bundled

OTHERS = "lacking flow, besides pressure; mend the list or fit the detector again"
TOO_MANY = "which at a step of 60 s is 9.92 of all readings: ask for less than half of them"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A detector of temp and flow with a reading every minute."""
    return bundled(tmp_path_factory.mktemp("bundles") / "pumps")


@pytest.fixture
def checked(tmp_path, monkeypatch, capsys):
    """The exit code and the lines of `plumbline check` for a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)

    def check(text, *options):
        (tmp_path / "a.yaml").write_text(text)
        code = main(["check", "a.yaml", *options])
        return code, [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return check


def test_a_configuration_that_will_run_is_told_part_by_part(bundle, checked):
    text = f"kafka: {{}}\ndetectors: {{pumps: {{bundle: {bundle}, channels: {{flow: , temp: }}, input: {{topic: r}}}}}}"
    code, lines = checked(text)

    assert code == 0
    assert lines[0] == "a.yaml: 1 detector"
    assert lines[1].startswith(f"pumps bundle {bundle}: 2 channels, 1 series, a reading every 1 min, digest ")
    assert lines[2:] == [
        "pumps channels temp, flow",
        "pumps policy one reading in 10,080 may exceed the bar of a series",
        "pumps input topic r, json, wide",
        "kafka group plumbline",
        "kafka brokers localhost:9092: not tried, --connect does",
        "it will run",
    ]


def test_a_preset_is_told_as_what_it_means(bundle, checked):
    debezium = (
        "{topic: r, format: {preset: debezium}, series: {field: payload.after.id}, only: {payload.source.db: [a, b]}}"
    )
    _, lines = checked(f"detectors: {{pumps: {{bundle: {bundle}, input: {debezium}}}}}")

    assert lines[4] == (
        "pumps input topic r, json, wide, time from payload.source.ts_ms in ms, channels below payload.after; "
        "ignored unless payload.source.db is a or b; ignored where payload.op is d or t, or without a value"
    )


def test_lines_are_told_with_the_precision_of_their_times(bundle, checked):
    lines = "{topic: r, format: line_protocol, series: {field: tags.host}, time: {unit: ms}, only: {name: cpu}}"
    _, said = checked(f"detectors: {{pumps: {{bundle: {bundle}, input: {lines}}}}}")

    assert said[4] == (
        "pumps input topic r, line_protocol, wide, time from timestamp in ms, channels below fields; "
        "ignored unless name is cpu"
    )


def test_mutes_are_told_with_their_times_and_reasons(bundle, checked):
    mutes = "{series: a-*, from: '2026-03-01T06:00:00+01:00', to: '2026-03-02T06:00:00Z', reason: bearings}"
    code, said = checked(f"detectors: {{pumps: {{bundle: {bundle}, mute: [{mutes}, {{series: b, reason: gone}}]}}}}")

    assert code == 0
    assert "pumps mute a-*, from 2026-03-01 05:00 to 2026-03-02 06:00: bearings" in said
    assert "pumps mute b, from ever to for good: gone" in said


def test_a_mute_of_another_clock_is_a_problem(bundle, checked):
    code, said = checked(f"detectors: {{pumps: {{bundle: {bundle}, mute: [{{series: b, to: 5, reason: gone}}]}}}}")

    assert code == 2
    assert "pumps mute PROBLEM times of b are a clock of index, the bundle's clock is time" in said


AVRO = "input: {topic: r, format: avro, series: {key: true}, time: {unit: ms}}"


def test_the_registry_of_avro_is_asked_where_that_is_wanted(bundle, checked):
    server = RegistryServer()
    text = f"detectors: {{pumps: {{bundle: {bundle}, {AVRO}}}}}\nschema_registry: {{url: '{server.url}/'}}"
    before, with_it = checked(text), checked(text, "--connect")
    server.close()
    without = checked(text, "--connect")

    assert before[0] == 0
    assert before[1][-2:] == [f"schema_registry {server.url}: not tried, --connect does", "it will run"]
    assert with_it[1][-2] == f"schema_registry {server.url}: reached"
    assert without[0] == 2  # of Kafka, which has no section; the registry is 1
    assert without[1][-2].startswith(f"schema_registry PROBLEM {server.url} cannot be reached: ")


def test_what_is_enough_for_training_is_no_problem(checked):
    assert checked("detectors: {pumps: }") == (
        0,
        [
            "a.yaml: 1 detector",
            "pumps bundle none is named: enough for train and backtest, not for serve",
            "kafka no section kafka: enough for train and backtest, not for serve",
            "it will run",
        ],
    )


def test_a_bundle_that_is_not_there_yet_is_a_problem_with_its_cure(checked):
    code, lines = checked("detectors: {pumps: {bundle: bundles/pumps}}")

    assert code == 1
    assert lines[1] == (
        "pumps bundle PROBLEM bundles/pumps is not there yet: plumbline train a.yaml --data FILES --out bundles/pumps"
    )
    assert lines[-1] == "1 problem: it will not run"


def test_a_damaged_bundle_is_a_problem_and_the_rest_is_still_looked_at(bundle, checked, tmp_path):
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "manifest.json").write_text("{}")
    code, lines = checked(f"detectors: {{pumps: {{bundle: damaged}}, others: {{bundle: {bundle}}}}}")

    assert code == 1
    assert lines[1] == (
        f"pumps bundle PROBLEM {tmp_path}/damaged/manifest.json is not the manifest of a bundle; fit the detector again"
    )
    assert lines[2].startswith("others bundle ")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (
            "channels: {temp: , pressure: }",
            f"pumps channels PROBLEM other than the bundle's: {OTHERS}",
        ),
        (
            "policy: {false_alarms: {rate: 1e5}}",
            f"pumps policy PROBLEM false_alarms asks for 100000 per series-week, {TOO_MANY}",
        ),
        (
            "input: {topic: r, time: {unit: index}}",
            "pumps input PROBLEM time unit index is a clock of index, the bundle's clock is time: mend the unit",
        ),
        (
            "input: {topic: r, shape: long}",
            "pumps input PROBLEM shape is long, which has one channel without join; here are 2: temp, flow",
        ),
    ],
)
def test_settings_that_do_not_fit_the_bundle_end_with_2(keys, problem, bundle, checked):
    code, lines = checked(f"detectors: {{pumps: {{bundle: {bundle}, {keys}}}}}")

    assert code == 2
    assert problem in lines


def test_a_topic_of_two_detectors_and_a_password_that_is_not_there_are_problems(bundle, checked):
    kafka = "kafka: {client: {security_protocol: SSL, ssl_password: {env: NOT_SET}}}"
    detector = f"{{bundle: {bundle}, input: {{topic: r}}}}"
    code, lines = checked(f"{kafka}\ndetectors: {{a: {detector}, b: {detector}}}")

    assert code == 2
    assert lines[-3:] == [
        "kafka input PROBLEM topic r is read by a and b: give each its own",
        "kafka brokers PROBLEM kafka.client.ssl_password: the environment variable NOT_SET is empty or not set",
        "2 problems: it will not run",
    ]


def test_connecting_without_a_section_kafka_is_a_problem(checked):
    code, lines = checked("detectors: {pumps: }", "--connect")

    assert code == 2
    assert lines[2] == "kafka PROBLEM no section kafka: enough for train and backtest, not for serve"


def test_connecting_looks_for_the_topics(kafka, fresh_name, bundle, checked):
    text = (
        f"kafka: {{bootstrap_servers: '{kafka}'}}\n"
        f"detectors: {{pumps: {{bundle: {bundle}, input: {{topic: {fresh_name}}}}}}}\n"
        f"outputs: {{alerts: {fresh_name}-alerts, dead_letters: null}}"
    )
    code, lines = checked(text, "--connect")

    assert code == 1
    assert lines[-2].startswith(f"kafka brokers PROBLEM there is no topic {fresh_name} at {kafka}")

    for topic in (fresh_name, f"{fresh_name}-alerts"):
        create_topic(Cluster(kafka), topic)
    code, lines = checked(text, "--connect")

    assert code == 0
    assert lines[-4:] == [
        f"kafka input topic {fresh_name}: 0 records",
        f"kafka output topic {fresh_name}-alerts",
        f"kafka brokers {kafka}: reached",
        "it will run",
    ]


def test_the_saved_state_is_told_as_what_a_reload_makes_of_it(bundle, checked, tmp_path):
    digest, slots = load(bundle).digest, {"a": b"1", "b": b"2"}
    with StateFolder(tmp_path / "state") as folder:  # a service may hold its lock meanwhile
        folder.save("pumps", Partition("r", 0), SavedState(5, digest, slots))
        folder.save("pumps", Partition("r", 1), SavedState(5, digest, {"c": b"3"}))
        folder.save("pumps", Partition("r", 2), SavedState(5, "d" * 64, {"d": b"4"}))
        folder.save("pumps", Partition("earlier", 0), SavedState(5, digest, slots))
        folder.save("pumps", Partition("r", 3), SavedState(5, digest, slots))
        (tmp_path / "state" / "pumps" / "r" / "3.state").write_bytes(b"damaged")
        code, lines = checked(f"detectors: {{pumps: {{bundle: {bundle}, input: {{topic: r}}}}}}")

    assert code == 0
    assert [line for line in lines if line.startswith("pumps state")] == [
        "pumps state 2 partitions, 3 series: kept",
        "pumps state 1 partition, 1 series: of another bundle, and warmed up anew",
    ]
