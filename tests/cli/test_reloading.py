"""What is staged of a configuration that changed on disk, and what is refused; the service takes over elsewhere."""

import shutil
from dataclasses import fields

import pytest

from pipeline.cli.configuration import load_settings
from pipeline.cli.reloading import Around, Reloads, places
from pipeline.cli.serving import Asked
from pipeline.connectors.file_watch import FileWatch
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.exceptions import BrokerError, BundleError, SettingsError
from pipeline.settings import KafkaSettings, Settings
from pipeline.settings.settings import StateSettings, TelemetrySettings
from tests.service.small import bundled, small_detector
from tests.service.telemetry_feed import HandClock

WRITTEN = """
kafka: {{bootstrap_servers: "127.0.0.1:1", group_id: g, client: {{bootstrap_timeout_ms: 200}}}}
detectors:
  pumps:
    bundle: bundle
    input: {{topic: readings, time: {{field: ts}}}}
    policy: {{false_alarms: {{probability: {rate}}}}}
outputs: {{alerts: alerts, dead_letters: dead}}
state: {{folder: state, every_seconds: 30}}
telemetry: {{listen: 127.0.0.1:9464}}
"""


class Files:
    """A configuration with its bundle on disk, and what watches them."""

    def __init__(self, folder):
        self.config, self.bundle = folder / "plumbline.yaml", bundled(folder / "bundle")
        self.write()
        self.called = False
        settings = load_settings(self.config)
        self.clock = HandClock()
        around = Around(Asked(), Cluster("127.0.0.1:1", {"bootstrap_timeout_ms": 200}), None, lambda: False)
        watch = FileWatch(places(settings), self.clock)
        self.reloads = Reloads(settings, around, self.call, watch)

    def write(self, old="", new="", rate=0.01):
        text = WRITTEN.format(rate=rate)

        assert old in text

        self.config.write_text(text.replace(old, new))

    def call(self):
        called, self.called = self.called, False
        return called

    def asked(self):
        """What is staged when somebody asks."""
        self.called = True
        return self.reloads.staged()

    def looked(self):
        """What is staged within two looks at the disk."""
        found = []
        for _ in range(2):
            self.clock.seconds += 6.0
            found.append(self.reloads.staged())
        return found[0] or found[1]


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_nothing_is_staged_where_nothing_changed_and_nobody_asks(files):
    assert files.reloads.staged() is None
    assert files.looked() is None


def test_whoever_asks_gets_what_is_there_changed_or_not(files):
    staged = files.asked()

    assert [stream.monitor.detector.digest for stream in staged.streams] == [small_detector().digest]
    assert staged.connect is None, "the topics are the same"
    assert files.looked() is None, "what was staged is known"


def test_another_bundle_on_disk_is_staged_by_itself(files):
    bundled(files.bundle, seed=1)
    staged = files.looked()

    assert staged.streams[0].monitor.detector.digest == small_detector(seed=1).digest
    assert files.looked() is None


def test_another_policy_and_pace_are_staged(files):
    files.write("{folder: state, every_seconds: 30}", "{folder: state, every_seconds: 7}", rate=0.001)
    staged = files.looked()

    assert staged.streams[0].monitor.target == pytest.approx(0.001)
    assert staged.settings.commit_every == 7
    assert staged.connect is None


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("group_id: g,", "group_id: h,", "kafka"),
        ("group_id: g,", "group_id: g, mutes: m,", "kafka"),
        ('"127.0.0.1:1"', '"127.0.0.1:2"', "kafka"),
        ("{folder: state, ", "{folder: elsewhere, ", "state.folder or state.changelog"),
        ("{folder: state, ", "{changelog: state, ", "state.folder or state.changelog"),
        ("9464", "9465", "telemetry.listen"),
    ],
)
def test_what_only_a_restart_can_change_is_refused_by_name(files, old, new, named):
    files.write(old, new)
    with pytest.raises(SettingsError, match=f"{named}.* was changed, which only a restart can do"):
        files.asked()


def test_the_way_of_delivery_stays_for_as_long_as_the_process_runs(files):
    files.write("{folder: state, every_seconds: 30}", "{changelog: state}\ndelivery: exactly_once")
    with pytest.raises(SettingsError, match="only a restart"):
        files.asked()


def test_every_setting_is_either_taken_over_or_refused():
    """One that is new has to be put here, and into `Staged` or `fixed`, or a reload would pass it over in silence."""
    taken = {
        *("detectors", "outputs", "kafka.on_offset_loss", "state.every_seconds"),
        *("telemetry.series_max", "telemetry.series_match"),
        "registry",  # by the decoders of `Staged.streams`
    }
    refused = {
        *("kafka.bootstrap_servers", "kafka.group_id", "kafka.client", "kafka.transactional_id", "kafka.mutes"),
        *("state.folder", "state.changelog", "delivery", "telemetry.listen"),
    }
    of_another_process = {"notify"}
    sections = {"kafka": KafkaSettings, "state": StateSettings, "telemetry": TelemetrySettings}
    there = {one.name for one in fields(Settings)} - {"path", *sections}
    there |= {f"{name}.{one.name}" for name, section in sections.items() for one in fields(section)}

    assert there == taken | refused | of_another_process


def test_on_offset_loss_may_change(files):
    files.write("group_id: g,", "group_id: g, on_offset_loss: latest,")

    assert files.asked().settings.resume.on_loss == "latest"


def test_a_broken_file_is_refused_until_it_is_mended(files):
    files.config.write_text("detectors: [")
    with pytest.raises(SettingsError):
        files.looked()
    assert files.looked() is None, "said once"
    files.write(rate=0.001)

    assert files.looked().streams[0].monitor.target == pytest.approx(0.001)


def test_a_damaged_bundle_is_refused_until_it_is_whole(files):
    weights = files.bundle / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"?")
    with pytest.raises(BundleError, match="SHA-256"):
        files.looked()
    weights.write_bytes(whole)

    assert files.looked() is not None


def test_a_bundle_that_is_not_there_yet_is_taken_up_when_it_comes(files, tmp_path):
    files.write("bundle: bundle", "bundle: later")
    with pytest.raises(BundleError, match="is no bundle"):
        files.asked()
    shutil.copytree(files.bundle, tmp_path / "later")

    assert files.looked() is not None


def test_a_detector_that_no_longer_fits_is_refused(files):
    files.write("time: {field: ts}", "time: {field: ts, unit: index}")
    with pytest.raises(SettingsError, match="the bundle's clock is time"):
        files.asked()


@pytest.mark.usefixtures("refused_connections")
@pytest.mark.parametrize(("old", "new"), [("topic: readings", "topic: others"), ("alerts: alerts", "alerts: others")])
def test_other_topics_are_looked_for_before_anything_is_staged(files, old, new):
    files.write(old, new)
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
        files.asked()


def test_what_is_fixed_is_held_against_what_runs_and_not_against_what_was_refused(files):
    files.write("group_id: g,", "group_id: h,")
    with pytest.raises(SettingsError):
        files.asked()
    with pytest.raises(SettingsError):
        files.asked()


@pytest.mark.kafka
def test_a_state_topic_that_is_too_small_for_another_input_is_refused(kafka, fresh_name, files):
    cluster = Cluster(kafka)
    for topic, partitions in ((f"{fresh_name}-one", 1), (f"{fresh_name}-three", 3), ("alerts", 1), ("dead", 1)):
        create_topic(cluster, topic, partitions)
    create_topic(cluster, f"{fresh_name}-state", 1, {"cleanup.policy": "compact"})
    files.write("{folder: state, ", f"{{changelog: {fresh_name}-state, ")
    running = load_settings(files.config)
    text = files.config.read_text()
    around = Around(Asked(), cluster, None, lambda: False)
    reloads = Reloads(running, around, lambda: True, FileWatch(places(running), files.clock))
    files.config.write_text(text.replace("topic: readings", f"topic: {fresh_name}-one"))

    assert reloads.staged().connect is not None

    files.config.write_text(text.replace("topic: readings", f"topic: {fresh_name}-three"))
    with pytest.raises(BrokerError, match="has 1 partitions, the topics that are read have up to 3"):
        reloads.staged()
