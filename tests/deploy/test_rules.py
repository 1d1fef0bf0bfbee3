"""The alerts: valid, tested by promtool, and each with a page to read at night."""

import re
import shutil
import subprocess

import pytest

from tests.deploy.promql import DEPLOY, rules

RUNBOOK = DEPLOY.parent / "docs" / "runbook.md"
RULES_TEST = DEPLOY / "prometheus" / "rules_test.yml"


@pytest.fixture
def promtool():
    """Run promtool; what it printed."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")

    def run(*arguments):
        done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.prometheus
@pytest.mark.parametrize("what", [("config", "prometheus.yml"), ("rules", "rules.yml")])
def test_prometheus_takes_the_configuration(promtool, what):
    kind, file = what
    code, said = promtool("check", kind, str(DEPLOY / "prometheus" / file))

    assert code == 0, said
    assert f"{len(rules())} rules found" in said or kind == "config"


@pytest.mark.prometheus
def test_alerts_fire_and_resolve_as_the_unit_tests_say(promtool):
    code, said = promtool("test", "rules", str(RULES_TEST))

    assert code == 0, said


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_where_to_read(rule):
    anchors = {re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-") for line in _headings()}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")

    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"]
    assert page.endswith("docs/runbook.md")
    assert anchor == rule["alert"].lower()
    assert anchor in anchors


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_is_seen_firing_in_the_unit_tests(rule):
    assert f'alertname="{rule["alert"]}", alertstate="firing"' in RULES_TEST.read_text(encoding="utf-8")


def test_the_runbook_has_a_page_for_each_alert_and_no_other():
    pages = [line[3:] for line in _headings()]
    listed = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \|", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(pages) == sorted(rule["alert"] for rule in rules())
    assert sorted((name, severity) for name, _, severity in listed) == sorted(
        (rule["alert"], rule["labels"]["severity"]) for rule in rules()
    )
    assert all(anchor == name.lower() for name, anchor, _ in listed)


def test_pages_of_the_runbook_say_meaning_first_look_and_cure():
    for page in RUNBOOK.read_text(encoding="utf-8").split("\n## ")[1:]:
        for part in ("**Means.**", "**Look first.**", "**Do.**"):
            assert part in page, page.splitlines()[0]


def _headings():
    return [line for line in RUNBOOK.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
