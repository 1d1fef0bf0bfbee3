"""The wheel as a stranger meets it: what is in it, and that the service runs where torch and pandas are absent."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.connectors.local_broker import free_port
from tests.service.small import bundled

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).parent / "uv"
NOT_FOR_SERVING = ("torch", "pandas", "sklearn", "matplotlib", "scipy")

ROWS = 300

pytestmark = pytest.mark.slow


def run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a command printed and how it ended, run from the folder given."""
    return subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, folder=ROOT)

    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """A folder with an environment `env` of the service's lock and the wheel, and nothing else."""
    if not UV.exists():
        pytest.skip("uv is not beside this python: `make setup` puts it there")
    folder = tmp_path_factory.mktemp("elsewhere")
    python = folder / "env" / "bin" / "python"
    for command in (
        ("venv", "--python", sys.executable, folder / "env"),
        ("pip", "install", "--python", python, "--require-hashes", "-r", ROOT / "requirements" / "service.txt"),
        ("pip", "install", "--python", python, "--no-deps", wheel),
    ):
        done = run(UV, *command, folder=folder)
        assert done.returncode == 0, done.stderr
    return folder


def configured(folder, servers, topic):
    """A configuration of the small detector on this topic."""
    bundled(folder / "bundle")
    config = folder / "plumbline.yaml"
    config.write_text(f"""
        kafka: {{bootstrap_servers: "{servers}", group_id: {topic}, client: {{bootstrap_timeout_ms: 3000}}}}
        detectors: {{pumps: {{bundle: bundle, input: {{topic: {topic}, series: {{key: true}}}}}}}}
        outputs: {{alerts: null, dead_letters: null}}
        state: {{folder: state, every_seconds: 1}}
        telemetry: {{listen: null}}
    """)
    return config


def test_the_wheel_has_two_top_level_names(wheel):
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert names == {"pipeline", "models", "plumbline-0.1.0.dist-info"}


def test_the_wheel_carries_what_the_program_reads(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    kept = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pipeline").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert kept - names == set()
    assert "pipeline/connectors/kafka-pom.xml" in names


def test_the_command_runs_from_elsewhere(elsewhere):
    said = run("env/bin/plumbline", "--version", folder=elsewhere)

    assert (said.returncode, said.stdout.strip(), said.stderr) == (0, "0.1.0", "")


def test_the_service_environment_has_no_library_of_training(elsewhere):
    question = f"import importlib.util as u; print([n for n in {NOT_FOR_SERVING} if u.find_spec(n)])"
    said = run("env/bin/python", "-c", question, folder=elsewhere)

    assert (said.stdout.strip(), said.stderr) == ("[]", "")


@pytest.mark.parametrize("command", ["serve", "check", "publish", "schema", "inspect"])
def test_a_command_explains_itself_without_the_libraries_of_training(elsewhere, command):
    said = run("env/bin/plumbline", command, "--help", folder=elsewhere)

    assert (said.returncode, said.stderr) == (0, "")
    assert f"plumbline {command}" in said.stdout


def test_a_command_that_needs_torch_says_so(elsewhere):
    rows = "".join(f"2026-01-01T{i // 60:02}:{i % 60:02}:00,{i % 7}\n" for i in range(200))
    (elsewhere / "history.csv").write_text(f"timestamp,temp\n{rows}")
    said = run("env/bin/plumbline", "train", "--data", "history.csv", "--out", "bundle", folder=elsewhere)

    assert said.returncode == 1
    assert "is not installed here: pip install plumbline" in said.stderr


def test_a_broker_that_is_absent_is_told_without_the_libraries_of_training(elsewhere, tmp_path):
    with free_port() as port:
        pass  # nobody listens there
    said = run("env/bin/plumbline", "serve", configured(tmp_path, f"127.0.0.1:{port}", "readings"), folder=elsewhere)

    assert said.returncode == 1
    assert f"127.0.0.1:{port}" in said.stderr


def test_the_service_scores_a_topic_without_the_libraries_of_training(elsewhere, tmp_path, kafka, fresh_name):
    config = configured(tmp_path, kafka, fresh_name)
    rows = "".join(f"2026-01-01T{i // 60:02}:{i % 60:02}:00,{i % 7},1.5\n" for i in range(ROWS))
    (tmp_path / "pump-9.csv").write_text(f"timestamp,temp,flow\n{rows}")
    published = run("env/bin/plumbline", "publish", config, "--data", tmp_path / "pump-9.csv", folder=elsewhere)
    assert published.returncode == 0, published.stderr
    serving = ("env/bin/plumbline", "serve", config)
    read = scored = 0
    with subprocess.Popen(serving, cwd=elsewhere, stderr=subprocess.PIPE, text=True) as service:
        try:
            for line in service.stderr:
                if found := re.search(r"committed readings=([1-9]\d*) scored=(\d+)", line):
                    read, scored = read + int(found[1]), scored + int(found[2])
                    if read == ROWS:
                        service.send_signal(signal.SIGTERM)
            service.wait()
        finally:
            service.kill()

    assert (service.returncode, read) == (0, ROWS)
    assert 0 < scored < ROWS  # a new series warms up first
