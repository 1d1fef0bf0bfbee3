"""The locks say what the project asks for, and nothing of where it was found."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name_of(requirement: str) -> str:
    """The package that a requirement is about, spelled as locks spell it."""
    return re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def pins(lock: str) -> set[str]:
    """Every `name==version` of a lock, with its marker."""
    text = (ROOT / "requirements" / lock).read_text()
    return {line.rstrip(" \\") for line in text.splitlines() if re.match(r"[a-z0-9]", line)}


def wanted(lines: list[str]) -> set[str]:
    """The packages that these requirements ask for."""
    return {name_of(line) for line in lines if line and not line.startswith("#")}


def test_everything_that_the_project_asks_for_is_locked():
    extras = PROJECT["optional-dependencies"].values()
    asked = wanted([*PROJECT["dependencies"], *(line for extra in extras for line in extra)])

    assert asked - wanted(list(pins("all.txt"))) == set()


def test_the_service_asks_for_no_more_than_the_project():
    asked = (ROOT / "requirements" / "service.in").read_text().splitlines()
    offered = {*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["avro"]}

    assert {line for line in asked if not line.startswith("#")} - offered == set()


def test_the_service_runs_on_the_versions_that_are_tested():
    assert pins("service.txt") - pins("all.txt") == set()


def test_no_lock_says_where_packages_come_from():
    for lock in ("all.txt", "service.txt"):
        assert "://" not in (ROOT / "requirements" / lock).read_text()
