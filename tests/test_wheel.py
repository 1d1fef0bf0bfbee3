"""The wheel as a stranger meets it: what is in it, and that the service runs where torch and pandas are absent."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).parent / "uv"
NOT_FOR_SERVING = ("torch", "pandas", "sklearn", "matplotlib", "scipy")

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
    said = run("env/bin/plumbline", "train", "--data", "a.csv", "--out", "b", folder=elsewhere)

    assert said.returncode == 1
    assert "is not installed here: pip install plumbline" in said.stderr
