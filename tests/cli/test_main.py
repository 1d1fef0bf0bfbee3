from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest

from pipeline.cli.main import COMMANDS, LETTER_COMMANDS, TAG_COMMANDS, application, main

# A test run in the background ignores SIGINT, and so would its children.
PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from pipeline.cli.main import main; sys.exit(main())"
)
PLUMBLINE = [sys.executable, "-c", PROGRAM]
ALL = [
    "backtest",
    "capture",
    "check",
    "dead-letters",
    "demo",
    "evaluate",
    "explain",
    "init",
    "inspect",
    "notify",
    "publish",
    "reproduce",
    "schema",
    "serve",
    "tag",
    "train",
]
SPOKEN = [
    *((each, [each.name]) for each in COMMANDS),
    *((each, ["tag", each.name]) for each in TAG_COMMANDS),
    *((each, ["dead-letters", each.name]) for each in LETTER_COMMANDS),
]


def run(*words, **options):
    return subprocess.run([*PLUMBLINE, *words], capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.parametrize(("command", "words"), SPOKEN, ids=lambda value: " ".join(value) if type(value) is list else "")
def test_the_help_of_every_command_teaches_by_example(command, words, capsys):
    code = main([*words, "--help"])
    shown = " ".join(capsys.readouterr().out.split())

    assert code == 0
    assert shown.startswith(f"Usage: plumbline {' '.join(words)}")
    assert all(" ".join(example.split()) in shown for example in command.examples)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_help_of_the_program_names_every_command_but_the_hidden(words, capsys):
    code = main(words)
    shown = capsys.readouterr().out

    assert code == 0
    assert all(f"│ {command.name} " in shown for command in COMMANDS if command.show)
    assert "│ tag " in shown
    assert "kafka" not in shown


@pytest.mark.parametrize("example", [example for command, _ in SPOKEN for example in command.examples])
def test_every_example_is_one_that_the_program_understands(example):
    words = shlex.split(re.split(r" [>|] ", example)[0])
    command, _, ignored = application(words).parse_args(words[1:], print_error=False, exit_on_error=False)

    assert words[0] == "plumbline"
    assert command.__name__.removesuffix("_letters") in words
    assert ignored == {}


def test_every_command_has_a_module():
    names = {command.name for command in COMMANDS} | {"tag"}

    assert {name for name in names if find_spec(f"pipeline.cli.{name}") is None} == set()


def test_the_help_of_the_program_loads_no_command():
    report = (
        "import sys; from pipeline.cli.main import main; main(['--help']);"
        "print({name.partition('.')[0] for name in sys.modules} & {'torch', 'pandas', 'pydantic', 'kafka', 'pyarrow'})"
    )
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.splitlines()[-1] == "set()"


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip()[0].isdigit()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "trian is no command; did you mean train?\nTry: plumbline --help"),
        (
            ["forecast"],
            f"forecast is no command; there are {', '.join(ALL)}\nTry: plumbline --help",
        ),
        (["tag", "trian"], "trian is no command; did you mean train?\nTry: plumbline tag --help"),
        (
            ["check", "a.yaml", "--conect"],
            "Unknown option: --conect. Did you mean --connect?\nTry: plumbline check --help",
        ),
        (["inspect"], 'Command "inspect" parameter PATH requires an argument.\nTry: plumbline inspect --help'),
        (
            ["train", "--data", "a", "b", "--out"],
            'Command "train" parameter --out requires an argument.\nTry: plumbline train --help',
        ),
        (
            ["train", "--data", "--out", "b"],
            'Command "train" parameter --data requires at least 1 element. Got 0.\nTry: plumbline train --help',
        ),
        (["check", "nowhere.yaml"], "nowhere.yaml cannot be read: No such file or directory"),
        (["inspect", "nowhere"], "nowhere: there is no such file or folder"),
        (["train", "--data", "nowhere", "--out", "b"], "nowhere: there is no such file or folder"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_to_do(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main(words) == 2
    assert capsys.readouterr() == ("", f"plumbline: {message}\n")


def test_a_failure_that_is_not_the_users_ends_with_1(tmp_path, capsys):
    (tmp_path / "manifest.json").write_text("{}")

    assert main(["inspect", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"plumbline: {tmp_path}/manifest.json is not the manifest of a bundle; fit the detector again\n"
    )


def test_a_file_that_cannot_be_written_ends_with_1_in_one_line(tmp_path, capsys):
    data = tmp_path / "a.csv"
    data.write_text("timestamp,x\n1,2\n2,3\n")
    out = tmp_path / "no-such-folder" / "a.yaml"

    assert main(["init", "--data", str(data), "--out", str(out)]) == 1
    assert capsys.readouterr().err == f"plumbline: [Errno 2] No such file or directory: '{out}'\n"


def test_the_codes_are_those_of_the_process():
    assert run("schema").returncode == 0
    assert run("trian").returncode == 2


@pytest.mark.parametrize("module", ["pipeline", "pipeline.cli.main"])
def test_python_runs_the_modules_as_the_program(module, capsys):
    program = [sys.executable, "-m", module]
    helped, refused = (
        subprocess.run([*program, *words], capture_output=True, text=True, timeout=60, check=False)
        for words in (["check", "--help"], ["trian"])
    )
    main(["check", "--help"])

    assert (helped.returncode, helped.stdout, helped.stderr) == (0, capsys.readouterr().out, "")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("plumbline: trian is no command")


def test_a_reader_who_leaves_early_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run([*PLUMBLINE, "schema"], stdout=closed, stderr=subprocess.PIPE, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (141, b"")


def test_a_package_that_is_left_out_on_purpose_is_named(tmp_path):
    data = tmp_path / "a.csv"
    data.write_text("timestamp,x\n" + "".join(f"{row},{row % 7}\n" for row in range(200)))
    program = (
        "import sys; sys.modules['torch'] = None; from pipeline.cli.main import main;"
        f"sys.exit(main(['train', '--data', {str(data)!r}, '--out', 'b']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "plumbline: this command needs the package torch, which is not installed here: pip install plumbline"
    )


@pytest.mark.slow
def test_an_interrupted_training_is_quiet_and_goes_on_from_where_it_stood(tmp_path):
    data, config = tmp_path / "a.csv", tmp_path / "a.yaml"
    data.write_text("timestamp,x\n" + "".join(f"{row},{(row * row) % 97}\n" for row in range(2000)))
    config.write_text("detectors: {a: {fit: {hidden: 4, steps: 100000, patience: 100000, evaluate_every: 2}}}")
    words = ["train", str(config), "--data", str(data), "--out", str(tmp_path / "bundle")]
    resume = tmp_path / "bundle.resume"
    process = subprocess.Popen([*PLUMBLINE, *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        while not resume.exists() and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()

    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == f"interrupted: the same command goes on from {resume}"
    assert "Traceback" not in err
