import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.connectors.local_broker import free_port
from pipeline.connectors.state_folder import StateFolder
from pipeline.service.ports import Partition, SavedState
from tests.service.small import bundled

PLUMBLINE = str(Path(sys.executable).with_name("plumbline"))
HEAVY = ("torch", "pandas", "sklearn", "matplotlib", "models")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundled(tmp_path_factory.mktemp("bundles") / "pumps")


@pytest.fixture
def config(tmp_path, bundle):
    """A configuration whose broker is not there."""
    with free_port() as port:
        pass
    return write(tmp_path, bundle, f"127.0.0.1:{port}")


def write(folder, bundle, servers, **sections):
    """A configuration; the sections named take the place of the usual ones."""
    usual = {
        "kafka": f"{{bootstrap_servers: {servers}, group_id: g, client: {{bootstrap_timeout_ms: 3000}}}}",
        "detectors": f"{{pumps: {{bundle: {bundle}, input: {{topic: readings, time: {{field: ts}}}}}}}}",
        "telemetry": "{listen: null}",
    }
    path = folder / "plumbline.yaml"
    path.write_text("".join(f"{name}: {text}\n" for name, text in {**usual, **sections}.items() if text))
    return path


def serve(config, *options):
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    return subprocess.Popen(
        [PLUMBLINE, "serve", str(config), *options], stderr=subprocess.PIPE, text=True, env=environment
    )


def refused(capsys, config, *options):
    """The message of a serve that is not to start, and its exit code."""
    code = main(["serve", str(config), *options])
    return code, capsys.readouterr().err


def test_serve_imports_nothing_that_learns_or_draws():
    names = ", ".join(repr(name) for name in HEAVY)
    program = f"import sys, pipeline.cli.serve; print(*{{{names}}} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (answer.stdout.strip(), answer.stderr) == ("", "")


@pytest.mark.slow
def test_a_broker_that_is_not_there_is_one_message_and_exit_code_1(config):
    began = time.monotonic()
    process = serve(config)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "plumbline: Kafka at 127.0.0.1:" in said
    assert "did not let us in within 3 s" in said
    assert "Traceback" not in said
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_a_second_signal_ends_the_service_at_once(tmp_path, bundle):
    with free_port() as port:
        config = write(
            tmp_path,
            bundle,
            "",
            kafka=f"{{bootstrap_servers: 127.0.0.1:{port}, client: {{bootstrap_timeout_ms: 60000}}}}",
        )
        process = serve(config)
        while not (tmp_path / "state" / "lock").exists():  # it connects next
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)  # within half a second it is the same request, as `timeout` makes it
        time.sleep(0.9)
        assert process.poll() is None
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "asked to end a second time" in said
    assert time.monotonic() - began < 5


def test_a_detector_without_a_topic_cannot_be_served(tmp_path, bundle, capsys):
    config = write(tmp_path, bundle, "x:1", detectors=f"{{pumps: {{bundle: {bundle}}}}}")

    assert refused(capsys, config) == (
        2,
        "plumbline: detectors.pumps needs a bundle and an input with its topic to be served: name both\n",
    )


def test_two_detectors_cannot_read_one_topic(tmp_path, bundle, capsys):
    one = f"{{bundle: {bundle}, input: {{topic: readings}}}}"
    code, said = refused(capsys, write(tmp_path, bundle, "x:1", detectors=f"{{a: {one}, b: {one}}}"))

    assert code == 2
    assert "topic readings is read by a and b: give each its own" in said


def test_channels_that_the_bundle_does_not_have_are_refused(tmp_path, bundle, capsys):
    one = f"{{bundle: {bundle}, input: {{topic: readings}}, channels: {{temp: {{}}, pressure: {{}}}}}}"
    code, said = refused(capsys, write(tmp_path, bundle, "x:1", detectors=f"{{pumps: {one}}}"))

    assert code == 2
    assert "detectors.pumps: channels: other than the bundle's: lacking flow, besides pressure" in said


def test_a_clock_other_than_the_bundles_is_refused(tmp_path, bundle, capsys):
    one = f"{{bundle: {bundle}, input: {{topic: readings, time: {{field: n, unit: index}}}}}}"
    code, said = refused(capsys, write(tmp_path, bundle, "x:1", detectors=f"{{pumps: {one}}}"))

    assert code == 2
    assert "time unit index is a clock of index, the bundle's clock is time" in said


def test_a_configuration_without_kafka_is_refused(tmp_path, bundle, capsys):
    code, said = refused(capsys, write(tmp_path, bundle, "x:1", kafka=""))

    assert code == 2
    assert "no section kafka" in said


def test_a_folder_of_state_that_another_service_holds_is_refused(config, capsys, tmp_path):
    with StateFolder(tmp_path / "state"):
        code, said = refused(capsys, config)

    assert code == 1
    assert "in use by another service" in said


@pytest.mark.slow
def test_fresh_forgets_what_was_saved_and_a_dry_run_does_not(config, tmp_path):
    partition = Partition("readings", 0)
    with StateFolder(tmp_path / "state") as folder:
        folder.save("pumps", partition, SavedState(1, "d" * 64, {}))
    for options, kept in ((["--dry-run", "--fresh"], True), (["--fresh"], False)):
        process = serve(config, *options)
        process.communicate(timeout=60)

        assert process.returncode == 1, "its broker is not there"
        with StateFolder(tmp_path / "state") as folder:
            assert (folder.load("pumps", partition) is not None) == kept


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--backfill", "500"], "--start earliest, the default, leaves none before it: give --start latest too"),
        (["--start", "latest", "--backfill", "-1"], "--backfill is -1: give a number of records, such as 20000"),
    ],
)
def test_a_back_fill_that_cannot_be_is_refused_with_what_to_do(config, capsys, options, said):
    code, err = refused(capsys, config, *options)

    assert code == 2
    assert said in err
