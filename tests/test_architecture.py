"""What the import contract cannot say: where the world is touched, how long a file is, whether the picture is true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOUCHING_THE_WORLD = ("pipeline/cli/", "pipeline/connectors/", "pipeline/bundle.py")
BELOW_THE_SERVICE = (
    "models/",
    "pipeline/formats/",
    "pipeline/bundle.py",
    "pipeline/monitor/",
    "pipeline/detector/",
    "pipeline/records.py",
    "pipeline/exceptions.py",
)
LONGEST_FILE = 400
HEAVY = {"torch", "pandas", "sklearn", "matplotlib"}

OPENING = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "touch", "unlink", "mkdir", "rmdir"),
    *("iterdir", "glob", "rglob", "read_parquet", "read_csv", "to_parquet", "to_csv", "memmap", "fromfile", "tofile"),
}
WORLDLY = {"asyncio", "http", "shutil", "socket", "socketserver", "subprocess", "tempfile", "urllib"}
RANDOM_STATE_PASSED_IN = {"Generator", "SeedSequence", "default_rng"}


def sources() -> list[Path]:
    """Every module of both packages."""
    return sorted(path for package in ("models", "pipeline") for path in (ROOT / package).rglob("*.py"))


def place(path: Path) -> str:
    """A module as it is written from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports, `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def dotted(node: ast.expr) -> str:
    """`np.random.rand` of that expression; the empty string for what is no chain of names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def called(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a module calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, dotted(node.func)


def opens_something(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a module opens a file, a folder, a socket or a process."""
    yield from ((line, name) for line, name in called(tree) if name.split(".")[-1] in OPENING)
    worldly = ((line, name) for line, name in imported(tree) if name.split(".")[0] in WORLDLY)
    yield from ((line, name) for line, name in worldly if not name.startswith("urllib.parse"))  # which takes text apart


def reads_what_was_not_passed_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a module reads a clock, the environment or a global random state, or logs."""
    for line, name in imported(tree):
        if name.split(".")[0] in {"time", "random", "secrets", "uuid", "logging"} or name in {
            "os.environ",
            "os.getenv",
        }:
            yield line, name
    for line, name in called(tree):
        parts = name.split(".")
        if parts[-1] in {"now", "utcnow", "today", "getenv"}:
            yield line, name
        if parts[-2:-1] == ["random"] and parts[-1] not in RANDOM_STATE_PASSED_IN:
            yield line, name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and dotted(node) == "os.environ":
            yield node.lineno, "os.environ"


def test_only_the_edges_open_files_sockets_and_processes():
    found = [
        f"{place(path)}:{line} {name}"
        for path in sources()
        if not place(path).startswith(TOUCHING_THE_WORLD)
        for line, name in opens_something(ast.parse(path.read_text()))
    ]

    assert found == []


def test_below_the_service_nothing_reads_a_clock_the_environment_or_a_global_random_state_or_logs():
    found = [
        f"{place(path)}:{line} {name}"
        for path in sources()
        if place(path).startswith(BELOW_THE_SERVICE)
        for line, name in reads_what_was_not_passed_in(ast.parse(path.read_text()))
    ]

    assert found == []


@pytest.mark.parametrize(
    "line",
    ["open('a')", "path.open()", "Path('a').read_text()", "import socket", "from urllib.request import urlopen"],
)
def test_an_opened_file_or_socket_is_seen(line):
    assert list(opens_something(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        *("import time", "from os import environ", "os.environ['A']", "os.getenv('A')", "import logging"),
        *("datetime.now(UTC)", "np.random.rand(3)", "numpy.random.seed(0)", "torch.random.manual_seed(0)"),
    ],
)
def test_what_was_not_passed_in_is_seen(line):
    assert list(reads_what_was_not_passed_in(ast.parse(line)))


def test_the_networks_import_torch_and_the_standard_library_only():
    allowed = {"torch", "models", *sys.stdlib_module_names}
    found = [
        f"{place(path)}:{line} {name}"
        for path in sources()
        if place(path).startswith("models/")
        for line, name in imported(ast.parse(path.read_text()))
        if name.split(".")[0] not in allowed
    ]

    assert found == []


def test_no_module_goes_round_the_contract_by_way_of_the_package_itself():
    rooms = {path.stem for path in (ROOT / "pipeline").iterdir()}
    found = [
        f"{place(path)}:{line} {name}"
        for path in sources()
        for line, name in imported(ast.parse(path.read_text()))
        if name == "pipeline" or (name.startswith("pipeline.") and name.split(".")[1] not in rooms)
    ]

    assert found == []


def test_no_file_outgrows_its_idea():
    lines = {place(path): len(path.read_text().splitlines()) for path in sources()}

    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


@pytest.mark.parametrize("module", ["pipeline", "pipeline.cli.main"])
def test_importing_brings_no_library_of_training(module):
    report = f"import sys, {module}; print(*sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, cwd=ROOT)

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def house(text: str) -> set[str]:
    """The modules that the picture of the house names, as paths from the root of the repository.

    A line begins with a folder (`monitor/`) or a module (`table.py`), indented by its depth; the modules that a
    folder's line names, or the lines that go on from it, are in that folder.
    """
    block = next(block for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) if block.startswith("models/"))
    folders: list[tuple[int, str]] = []  # the way down to the line above: indentation and path of each folder
    modules = set()
    for line in filter(str.strip, block.splitlines()):
        depth, first = len(line) - len(line.lstrip()), line.split()[0]
        if first.endswith(("/", ".py")):
            while folders and folders[-1][0] >= depth:
                folders.pop()
            above = folders[-1][1] if folders else ""
        if first.endswith("/"):
            folders.append((depth, above + first))
        elif first.endswith(".py"):
            modules.update(above + name for name in re.findall(r"\w+\.py\b", line))
        if not first.endswith(".py"):
            modules.update(folders[-1][1] + name for name in re.findall(r"\w+\.py\b", line))
    return modules


def test_the_picture_of_the_house_is_read_by_its_indentation():
    lines = [
        "models/   networks",
        "  core.py   LSTM",
        "pipeline/",
        "  cli/   main.py and",
        "         serve.py",
        "  records.py",
    ]
    text = "\n".join(["```", *lines, "```", ""])

    assert house(text) == {"models/core.py", "pipeline/cli/main.py", "pipeline/cli/serve.py", "pipeline/records.py"}


def test_the_picture_of_the_house_is_true():
    page = ROOT / "docs" / "architecture.md"
    if not page.exists():
        pytest.skip("docs/architecture.md is not written")
    existing = {place(path) for path in sources() if path.name != "__init__.py"}
    pictured = house(page.read_text())

    assert existing - pictured == set()  # modules without a place in the picture
    assert pictured - existing == set()  # places without a module
