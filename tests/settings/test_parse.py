from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import SettingsError
from pipeline.formats.mapping import FORMATS, InputMapping, JoinMapping, SeriesMapping, TimeMapping
from pipeline.monitor.labels import LabelRule
from pipeline.monitor.mutes import Mute
from pipeline.monitor.policy import Budget, ChannelRule, FalseAlarms, Grouping, Policy
from pipeline.settings import (
    DetectorSettings,
    KafkaSettings,
    OutputSettings,
    RegistrySettings,
    Secret,
    StateSettings,
    TelemetrySettings,
    parse_settings,
)

FILE = Path("/etc/plumbline/a.yaml")
WHOLE = """
kafka: {bootstrap_servers: "a:1,b:2", group_id: g, client: {security_protocol: SSL, ssl_cafile: ca.pem}}
detectors:
  pumps:
    bundle: bundles/pumps
    input: {topic: readings, format: json, shape: wide, series: {field: pump}, time: {field: ts, unit: iso8601}}
    channels:
      temp: {field: t, unit: °C, role: sensor, direction: above, ignore_below: 0.5, valid_range: [-20, 120]}
      flow: {ignore_below: 5 %, stuck: false}
      valve:
    policy: {false_alarms: {rate: 1, per: series-week}, bar: static, clear_after: 5, stuck_after: 4}
    fit: {hidden: 8, seed: 3}
    files: {timezone: UTC, unit: ms}
outputs: {alerts: a, scores: s, dead_letters: null}
state: {folder: state, every_seconds: 5}
telemetry: {listen: 0.0.0.0:80, series: {max: 3, match: "pump*"}}
"""
FORMAT_NEEDED = f"input.format: {' or '.join(FORMATS)} is needed, found"
NO_SERIES = "series is missing, and nothing is guessed: what tells one machine from another"
NO_ZONE = "timezone is 'Mars/Base': a name such as Europe/Berlin is needed, and the machine must have time zone data"
NO_PROMISE = "false_alarms needs a rate per series-week or a probability per reading, one of the two"


def refusal(text):
    with pytest.raises(SettingsError) as refused:
        parse_settings(text, Path("a.yaml"))
    return str(refused.value)


REGISTRY = "detectors: {pumps: {input: {topic: a, format: avro}}}\nschema_registry: "


def test_a_registry_is_found_with_its_files_and_its_password_where_it_is_kept():
    files = "ca_file: ca.pem, certificate_file: c.pem, key_file: c.key, timeout_seconds: 5"
    text = f"{REGISTRY}{{url: https://r/x, username: u, password: {{file: secret}}, {files}}}"
    settings = parse_settings(text, FILE)

    folder = FILE.parent
    assert settings.detector().input.format == "avro"
    assert settings.registry == RegistrySettings(
        "https://r/x",
        "u",
        Secret(file=folder / "secret"),
        folder / "ca.pem",
        folder / "c.pem",
        folder / "c.key",
        5.0,
    )
    plain = parse_settings(f"{REGISTRY}{{url: http://r, username: u, password: hunter2}}", FILE).registry
    assert plain.password == Secret(text="hunter2")
    assert "hunter2" not in repr(plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{url: localhost:8081}",
            'url is "localhost:8081": http:// or https:// and a host is needed, name and password stand beside it',
        ),
        (
            "{url: 'http://u:p@host'}",
            'url is "http://u:p@host": http:// or https:// and a host is needed, name and password stand beside it',
        ),
        ("{url: http://r, username: u}", "username and password go together: one of them is missing"),
        ("{url: http://r, key_file: k}", "key_file is given and certificate_file is not: the key belongs to one"),
    ],
)
def test_a_registry_that_cannot_be_meant_is_refused(text, message):
    assert refusal(REGISTRY + text) == f"a.yaml: schema_registry: {message}"


def test_avro_without_a_registry_is_refused():
    assert refusal("detectors: {pumps: {input: {topic: a, format: avro}}}") == (
        "a.yaml: detectors.pumps.input.format is avro, and there is no schema_registry: its schemas are kept in one, "
        "as in schema_registry: {url: http://localhost:8081}"
    )


def test_every_section_becomes_the_dataclass_of_its_part():
    settings = parse_settings(WHOLE, FILE)

    assert settings.kafka == KafkaSettings(
        "a:1,b:2", "g", {"security_protocol": "SSL", "ssl_cafile": "/etc/plumbline/ca.pem"}
    )
    assert settings.detectors["pumps"] == DetectorSettings(
        name="pumps",
        bundle=Path("/etc/plumbline/bundles/pumps"),
        topic="readings",
        input=InputMapping(
            series=SeriesMapping(field="pump"), time=TimeMapping("ts", "iso8601"), channels={"temp": "t"}
        ),
        channels=("temp", "flow", "valve"),
        policy=Policy(
            FalseAlarms(rate=1.0),
            "static",
            5,
            {
                "temp": ChannelRule("°C", "above", ignore_below=0.5, valid_range=(-20.0, 120.0)),
                "flow": ChannelRule(ignore_below_percent=5.0, stuck=False),
                "valve": ChannelRule(),
            },
            stuck_after=4.0,
        ),
        fit=FitSettings(hidden=8, seed=3, roles={"temp": "sensor"}),
        unit="ms",
    )
    assert settings.outputs == OutputSettings("a", "s", None)
    assert settings.state == StateSettings(Path("/etc/plumbline/state"), None, 5.0)
    assert settings.telemetry == TelemetrySettings(("0.0.0.0", 80), 3, "pump*")


@pytest.mark.parametrize("by", ["machine", "{field: machine}"])
def test_records_of_single_sensors_are_joined_by_what_names_their_machine(by):
    text = f"{{topic: t, shape: long, series: {{field: sensor}}, join: {{by: {by}, lateness_seconds: 2.5}}}}"
    mapping = parse_settings(f"detectors: {{pumps: {{input: {text}}}}}", FILE).detector().input

    assert mapping.join == JoinMapping(SeriesMapping(field="machine"), "value")
    assert mapping.lateness == 2_500_000


def test_readings_wait_for_others_only_where_it_is_asked_for():
    text = "detectors: {a: {input: {topic: t, lateness_seconds: 3}}, b: {input: {topic: u}}}"
    detectors = parse_settings(text, FILE).detectors

    assert [one.input.lateness for one in detectors.values()] == [3_000_000, 0]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("join: {by: machine}", "join is given, and shape is wide: long is needed, records of single sensors"),
        ("shape: long, join: {}", "detectors.a.input.join.by: missing"),
        ("shape: long, join: {by: m}, lateness_seconds: 3", "lateness_seconds stands in join already"),
        ("shape: long, join: {by: m, lateness_seconds: -1}", "detectors.a.input.join.lateness_seconds"),
        ("shape: long, join: {by: m, lateness: 1}", "did you mean lateness_seconds?"),
        ("shape: long, join: {by: {feld: m}}", "did you mean field?"),
    ],
)
def test_a_join_that_cannot_be_meant_is_refused(written, message):
    assert message in refusal(f"detectors: {{a: {{input: {{topic: t, {written}}}}}}}")


def test_mutes_have_event_times_with_an_offset_or_sample_numbers():
    written = (
        '{series: pump-*, from: "2026-03-01T06:00:00Z", to: 2026-03-01T14:00:00+01:00, reason: bearings}',
        "{series: old, reason: gone}",
        "{series: a, to: 5, reason: b}",
    )
    mutes = parse_settings(f"detectors: {{a: {{mute: [{', '.join(written)}]}}}}", FILE).detector().policy.mutes
    six = 1_772_344_800_000_000

    assert mutes == (
        Mute("pump-*", six, six + 7 * 3_600_000_000, "bearings"),
        Mute("old", None, None, "gone"),
        Mute("a", None, 5, "b", "index"),
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{series: a}", "mute.0.reason: missing"),
        ("{series: a, reason: ' '}", "mute.0.reason: a name is needed"),
        ("{series: a, reason: b, from: 2026-03-01T06:00}", "a time with its offset is needed, such as 2026-03-01T06"),
        ("{series: a, reason: b, from: soon}", "from is 'soon': a time with its offset is needed"),
        ("{series: a, reason: b, from: 5, to: 5}", "a mute of a ends before it begins: to must be later than from"),
        ("{series: a, reason: b, from: 5, to: 2026-03-01T06:00:00Z}", "two of one kind are needed"),
        ("{series: a, reason: b, until: 5}", "mute.0.until: unknown; known here: from, reason, series, to"),
    ],
)
def test_a_mute_that_cannot_be_meant_is_refused(written, message):
    assert message in refusal(f"detectors: {{a: {{mute: [{written}]}}}}")


def test_all_but_the_name_of_a_detector_can_be_left_out():
    settings = parse_settings("detectors: {pumps: }", FILE)

    assert settings.kafka is None
    assert settings.detector() == DetectorSettings("pumps")
    assert settings.outputs == OutputSettings()
    assert settings.state == StateSettings(Path("/etc/plumbline/state"))
    assert settings.telemetry == TelemetrySettings()


def test_a_section_that_is_written_and_left_empty_is_all_defaults():
    text = "detectors: {a: {policy: , fit: , channels: {x: }}}\noutputs:\nstate:\ntelemetry: {series: }"

    assert parse_settings(text, FILE).detector() == DetectorSettings(
        "a", channels=("x",), policy=Policy(channels={"x": ChannelRule()})
    )


def test_what_is_null_is_not_written_kept_or_shown():
    outputs = "outputs: {alerts: null, dead_letters: null}"
    settings = parse_settings(
        f"detectors: {{a: }}\n{outputs}\nstate: {{folder: null}}\ntelemetry: {{listen: null}}", FILE
    )

    assert settings.outputs == OutputSettings(None, None, None)
    assert settings.state.folder is None
    assert settings.telemetry.listen is None


def test_a_probability_may_be_written_with_an_exponent():
    text = "detectors: {a: {policy: {false_alarms: {probability: 1e-4}}}}"

    assert parse_settings(text, FILE).detector().policy.false_alarms == FalseAlarms(probability=1e-4)


@pytest.mark.parametrize(
    ("budget", "expected"), [("alerts: 20", Budget(20, "day")), ("alerts: 3, per: hour", Budget(3, "hour"))]
)
def test_a_budget_is_of_a_day_where_nothing_else_is_said(budget, expected):
    text = f"detectors: {{a: {{policy: {{budget: {{{budget}}}}}}}}}"

    assert parse_settings(text, FILE).detector().policy.budget == expected


def test_a_budget_of_an_index_clock_is_per_so_many_samples():
    text = "detectors: {a: {policy: {budget: {alerts: 20, per: 10000}}}}"

    assert parse_settings(text, FILE).detector().policy.budget == Budget(20, 10000)


LABELLED = 'labels: [{match: "{site}/*"}, {match: old-*, site: south, line: 3}]'


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("group_by: site", Grouping(("site",), 10)),
        ("group_by: [site, line], group_within: 0", Grouping(("site", "line"), 0)),
        ("", None),
    ],
)
def test_series_are_labelled_by_their_names_and_grouped_by_labels(policy, expected):
    found = parse_settings(f"detectors: {{a: {{{LABELLED}, policy: {{{policy}}}}}}}", FILE).detector().policy

    assert found.labels == (LabelRule("{site}/*"), LabelRule("old-*", (("site", "south"), ("line", "3"))))
    assert found.grouping == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "policy: {group_by: site}",
            (
                ": group_by asks for the label site, and labels declares none: declare site there, or group by one "
                "that is declared"
            ),
        ),
        (
            f"{LABELLED}, policy: {{group_by: plant}}",
            (
                ": group_by asks for the label plant, and labels declares line, site: declare plant there, or group by "
                "one that is declared"
            ),
        ),
        (f"{LABELLED}, policy: {{group_by: 3}}", ".policy.group_by: a name or a list of names is needed, found 3"),
        (
            f"{LABELLED}, policy: {{group_by: [site, site]}}",
            ".policy: group_by is site, site: each label is needed once",
        ),
        (
            f"{LABELLED}, policy: {{group_by: site, group_within: -1}}",
            ".policy: group_within is -1: a number of steps, 0 or more, is needed",
        ),
        (
            "policy: {group_within: 3}",
            ".policy: group_within is 3, and nothing is grouped: group_by must name a label, as in group_by: site",
        ),
        (
            "labels: [{site: north}]",
            (
                '.labels.0: a mapping with match is needed, such as {match: "{site}/*"} or '
                '{match: "old-*", site: south}, '
                "found one without"
            ),
        ),
        (
            "labels: [north]",
            (
                '.labels.0: a mapping with match is needed, such as {match: "{site}/*"} or '
                '{match: "old-*", site: south}, '
                'found "north"'
            ),
        ),
        ("labels: [{match: a*, site: [b]}]", ".labels.0: text or a whole number is needed, found a list"),
        (
            "labels: [{match: a*}]",
            ".labels.0: match is 'a*', and no label: put one in braces, as in {site}/*, or beside it, site: north",
        ),
    ],
)
def test_labels_and_groups_that_make_no_sense_are_refused(text, message):
    assert refusal(f"detectors: {{a: {{{text}}}}}") == f"a.yaml: detectors.a{message}"


def test_a_password_is_never_shown():
    text = """
    kafka: {client: {sasl_plain_password: hunter2, ssl_password: {env: PASSWORD}}}
    detectors: {a: }
    """
    settings = parse_settings(text, FILE)

    assert settings.kafka.client == {
        "sasl_plain_password": Secret(text="hunter2"),
        "ssl_password": Secret(env="PASSWORD"),
    }
    assert "hunter2" not in repr(settings) + str(settings)


def test_a_secret_file_is_found_from_the_folder_of_the_configuration():
    text = "kafka: {client: {sasl_plain_password: {file: secrets/kafka}}}\ndetectors: {a: }"

    assert parse_settings(text, FILE).kafka.client["sasl_plain_password"] == Secret(
        file=Path("/etc/plumbline/secrets/kafka")
    )


def test_one_of_several_detectors_is_chosen_by_name():
    settings = parse_settings("detectors: {a: , b: }", Path("a.yaml"))

    assert settings.detector("b").name == "b"
    with pytest.raises(SettingsError, match=r"^a.yaml has several detectors: choose one by --detector \(a, b\)$"):
        settings.detector()
    with pytest.raises(SettingsError, match=r"^a.yaml has no detector c: it has a, b$"):
        settings.detector("c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a mapping with the key detectors is needed, found nothing"),
        ("- a", "a mapping with the key detectors is needed, found a list"),
        ("kafka: {}", "detectors: missing, and needed here"),
        ("detectors: {}", "detectors: empty; at least one is needed"),
        ("detectors: 3", "detectors: a mapping of keys to values is needed, found 3"),
        ("detectors: {a: yes}", 'detectors.a: a mapping of keys to values is needed, found "yes"'),
        ("detectors: {a: {bundle: 3}}", "detectors.a.bundle: text is needed, found 3"),
        ("detectors: {a: {bundle: ' '}}", 'detectors.a.bundle: a name is needed, found " "'),
        ("detectors: {'': }", 'detectors.: a name is needed, found ""'),
    ],
)
def test_a_configuration_without_a_detector_is_refused(text, message):
    assert refusal(text) == f"a.yaml: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detectors: {a: }\nstat: {}", "stat: unknown; did you mean state?"),
        (
            "detectors: {pumps: {policy: {clear_afer: 3}}}",
            "detectors.pumps.policy.clear_afer: unknown; did you mean clear_after?",
        ),
        ("detectors: {pumps: {fit: {hiden: 3}}}", "detectors.pumps.fit.hiden: unknown; did you mean hidden?"),
        (
            "detectors: {pumps: {channels: {temp: {units: K}}}}",
            "detectors.pumps.channels.temp.units: unknown; did you mean unit?",
        ),
        (
            "detectors: {pumps: {clear: 3}}",
            "detectors.pumps.clear: unknown; known here: bundle, channels, files, fit, input, labels, mute, policy",
        ),
        (
            "detectors: {pumps: {policy: {false_alarms: {rate: 1, bar: static}}}}",
            "detectors.pumps.policy.false_alarms.bar: unknown; did you mean detectors.pumps.policy.bar?",
        ),
        (
            "detectors: {pumps: {input: {topic: a, series: {name: b}}}}",
            "detectors.pumps.input.series.name: unknown; known here: field, key, template, topic",
        ),
        (
            "detectors: {a: }\nkafka: {client: {group_id: x}}",
            "kafka.client.group_id: unknown; did you mean kafka.group_id?",
        ),
        (
            "detectors: {a: }\nkafka: {client: {sasl_plain_pasword: x}}",
            "kafka.client.sasl_plain_pasword: unknown, or set by this program; did you mean sasl_plain_password?",
        ),
        (
            "detectors: {a: }\ntelemetry: {series: {limit: 3}}",
            "telemetry.series.limit: unknown; known here: match, max",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_its_path_and_the_nearest_known_one(text, message):
    assert refusal(text) == f"a.yaml: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("state: {every_seconds: soon}", 'state.every_seconds: a number is needed, found "soon"'),
        ("state: {every_seconds: 0}", "state.every_seconds: more than 0 is needed, found 0"),
        ("state: {every_seconds: .inf}", 'state.every_seconds: a number is needed, found ".inf"'),
        ("state: {every_seconds: true}", "state.every_seconds: a number is needed, found true"),
        ("telemetry: {listen: 9464}", "telemetry.listen: host:port is needed, such as 127.0.0.1:9464, found 9464"),
        (
            "telemetry: {listen: localhost:99999}",
            'telemetry.listen: host:port is needed, such as 127.0.0.1:9464, found "localhost:99999"',
        ),
        ("telemetry: {series: {max: -1}}", "telemetry.series.max: at least 0 is needed, found -1"),
        ("telemetry: {series: {max: 1.5}}", "telemetry.series.max: a whole number is needed, found 1.5"),
        ("outputs: {alerts: [a]}", "outputs.alerts: text is needed, found a list"),
        ("kafka: localhost", 'kafka: a mapping of keys to values is needed, found "localhost"'),
        ("kafka: {bootstrap_servers: ''}", 'kafka.bootstrap_servers: a name is needed, found ""'),
        (
            "kafka: {client: {ssl_password: {env: 3}}}",
            "kafka.client.ssl_password: a value, {env: NAME} or {file: PATH} is needed, found a mapping",
        ),
        (
            "kafka: {client: {ssl_cafile: [a]}}",
            "kafka.client.ssl_cafile: a value, {env: NAME} or {file: PATH} is needed, found a list",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_what_was_found(text, message):
    assert refusal(f"detectors: {{a: }}\n{text}") == f"a.yaml: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fit: {steps: 1.5}", "fit.steps: a whole number is needed, found 1.5"),
        ("fit: {calendar: yes}", 'fit.calendar: true or false is needed, found "yes"'),
        ("fit: {batch: 0}", "fit: batch is 0: at least 1 is needed"),
        ("fit: {dropout: 1}", "fit: dropout is 1.0: a share from 0 up to, not including, 1 is needed"),
        ("policy: {bar: fixed}", 'policy.bar: tracking or static is needed, found "fixed"'),
        ("policy: {budget: {alerts: 0}}", "policy.budget: alerts is 0: a budget needs room for at least one incident"),
        (
            "policy: {stuck_after: 0.5}",
            "policy: stuck_after is 0.5: 1 or more (times the longest run in training) is needed, or 0 for never",
        ),
        ("policy: {clear_after: 0}", "policy: clear_after is 0: an incident needs at least one calm reading to clear"),
        (
            "policy: {false_alarms: {}}",
            f"policy.false_alarms: {NO_PROMISE}",
        ),
        (
            "policy: {false_alarms: {rate: -1}}",
            "policy.false_alarms: rate is -1.0: a positive number of false alarms per series-week is needed",
        ),
        (
            "policy: {false_alarms: {rate: 1, per: week}}",
            'policy.false_alarms.per: series-week is needed, found "week"',
        ),
        (
            "channels: {t: {direction: up}}",
            'channels.t.direction: both, above or below is needed, found "up"',
        ),
        (
            "channels: {t: {ignore_below: 5 K}}",
            'channels.t.ignore_below: a number in the channel\'s unit or a share such as "5 %" is needed, found "5 K"',
        ),
        ("channels: {t: {ignore_below: -1}}", "channels.t: ignore_below is negative: it is the size of a deviation"),
        (
            "channels: {t: {valid_range: [3, 1]}}",
            "channels.t: valid_range is (3.0, 1.0): the first number must be the smaller one",
        ),
        (
            "channels: {t: {valid_range: 3}}",
            "channels.t.valid_range: two numbers are needed, such as [0, 120], found 3",
        ),
        ("channels: {t: {role: label}}", 'channels.t.role: sensor or context is needed, found "label"'),
        ("input: {}", "input.topic: missing, and needed here"),
        ("input: {topic: a, format: xml}", f'{FORMAT_NEEDED} "xml"'),
        (
            "input: {topic: a, format: telegraf}",
            f'{FORMAT_NEEDED} "telegraf"; telegraf is a preset: {{preset: telegraf}}',
        ),
        (
            "input: {topic: a, format: {preset: tele}}",
            'input.format.preset: telegraf, debezium or debezium_bare is needed, found "tele"',
        ),
        (
            "input: {topic: a, format: {preset: telegraf}}",
            f"input: {NO_SERIES}? Such as series: {{field: tags.host}}",
        ),
        (
            "input: {topic: a, format: line_protocol, series: {field: tags.host}}",
            (
                "input: time.unit is missing: a line does not say in what its time is counted; "
                "it is the precision of the sender, s, ms, us or ns, as in time: {unit: ns}"
            ),
        ),
        (
            "input: {topic: a, format: line_protocol, time: {unit: s}}",
            f"input: {NO_SERIES}? Such as series: {{field: tags.host}}",
        ),
        (
            "input: {topic: a, format: {encoding: line_protocol, preset: telegraf}}",
            "input: a line has a form of its own, which telegraf is not: leave the preset out",
        ),
        (
            "input: {topic: a, only: {name: []}}",
            "input.only.name: a value or a list of values is needed, found an empty list",
        ),
        (
            "input: {topic: a, only: {name: 1.5}}",
            "input.only.name: text or a whole number is needed, found 1.5",
        ),
        (
            "input: {topic: a, time: {unit: h}}",
            'input.time.unit: iso8601, s, ms, us, ns or index is needed, found "h"',
        ),
        (
            "input: {topic: a, series: {field: x, key: true}}",
            "input.series: series has more than one source: one of field, key, topic, template is needed",
        ),
        (
            "input: {topic: a, time: {timezone: Mars/Base}}",
            f"input.time: {NO_ZONE}",
        ),
        (
            "files: {timezone: Mars/Base}",
            f"files.timezone: {NO_ZONE}",
        ),
    ],
)
def test_an_impossible_setting_of_a_detector_is_refused(text, message):
    assert refusal(f"detectors: {{pumps: {{{text}}}}}") == f"a.yaml: detectors.pumps.{message}"


def test_fields_that_mean_two_things_are_refused():
    text = "detectors: {pumps: {input: {topic: a}, channels: {x: {field: timestamp}}}}"

    assert refusal(text) == "a.yaml: detectors.pumps: fields 'timestamp' and 'timestamp' collide: each is one value"


def test_a_circle_of_topics_is_refused():
    text = "detectors: {a: {input: {topic: plumbline.dead}}}"

    assert refusal(text) == "a.yaml: outputs write to plumbline.dead, which detectors.a reads: name another topic"
    assert refusal("detectors: {a: }\noutputs: {alerts: x, scores: x}") == (
        "a.yaml: outputs write to x twice: what stands there must be of one kind"
    )


def test_all_problems_are_told_at_once():
    text = "detectors: {a: {policy: {clear_afer: 3}, fit: {steps: many}}}\nstat: {}"

    assert refusal(text) == (
        "a.yaml has 3 problems\n"
        "  detectors.a.policy.clear_afer: unknown; did you mean clear_after?\n"
        '  detectors.a.fit.steps: a whole number is needed, found "many"\n'
        "  stat: unknown; did you mean state?"
    )
