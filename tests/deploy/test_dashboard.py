"""The dashboard as committed: generated, complete, and about figures that exist."""

import subprocess
import sys

import pytest
import yaml
from prometheus_client import CollectorRegistry

from pipeline.service.health import Deadlines
from pipeline.service.stream import Served
from pipeline.service.telemetry import Telemetry
from pipeline.service.watched import SeriesShown
from tests.deploy.promql import DEPLOY, NAME, board, dashboard_queries, panels, rules, variables
from tests.service.telemetry_feed import HandClock


@pytest.fixture(scope="module")
def names():
    """Every name that a scrape can have."""
    registry = CollectorRegistry()
    served = [Served("pumps", "readings", "ab" * 32, ("temp",), 1e-3)]
    Telemetry(registry, HandClock(), served, version="0", series=SeriesShown(), deadlines=Deadlines())
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"], "gauge": [""]}
    return {family.name + suffix for family in registry.collect() for suffix in suffixes[family.type]}


def test_the_committed_json_is_what_the_code_generates():
    script = DEPLOY / "grafana" / "dashboard.py"
    printed = subprocess.run([sys.executable, script, "--stdout"], capture_output=True, check=True, timeout=60)

    assert printed.stdout == (DEPLOY / "grafana" / "plumbline.json").read_bytes(), f"run python {script.name} again"


@pytest.mark.parametrize("where", ["dashboard", "variables", "rules"])
def test_every_name_exists_in_telemetry(names, where):
    expressions = {
        "dashboard": [expression for _, expression in dashboard_queries()],
        "variables": [selector for _, selector, _ in variables()],
        "rules": [rule["expr"] for rule in rules()],
    }[where]
    used = {name for expression in expressions for name in NAME.findall(expression)}

    assert used
    assert used <= names


def test_every_figure_of_our_own_is_on_the_dashboard(names):
    used = {name for _, expression in dashboard_queries() for name in NAME.findall(expression)}
    ours = {name for name in names if name.startswith("plumbline_")}

    assert ours - used == {"plumbline_alerts_total", "plumbline_stage_duration_seconds_count"}


def test_every_panel_says_what_healthy_looks_like_and_has_a_unit():
    for panel in panels():
        assert "Healthy:" in panel["description"] or "No fault." in panel["description"], panel["title"]
        if panel["type"] in ("stat", "timeseries"):
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    everything = board()["panels"]
    ids = [panel["id"] for panel in everything]
    taken = set()
    for panel in everything:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells

    assert len(set(ids)) == len(ids)


def test_every_query_heeds_job_and_process():
    for where, expression in dashboard_queries():
        if not expression.startswith("ALERTS"):
            assert expression.count('job=~"$job", instance=~"$instance"') == len(NAME.findall(expression)), where


def test_spans_follow_the_dashboard():
    for where, expression in dashboard_queries():
        spans = [part.split("]")[0] for part in expression.split("[")[1:]]
        assert set(spans) <= {"$__rate_interval", "$__range", "6h"}, where


def test_the_sensor_is_drawn_within_its_band():
    panel = next(panel for panel in panels() if panel["title"] == "$series: $channel")
    lines = {target["legendFormat"]: target["expr"] for target in panel["targets"]}
    styles = {
        override["matcher"]["options"]: {one["id"]: one["value"] for one in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }

    assert set(lines) == {"upper", "lower", "expected", "reading", "in an incident"} == set(styles)
    assert styles["upper"]["custom.fillBelowTo"] == "lower"
    assert styles["upper"]["custom.fillOpacity"] > 0
    assert "plumbline_channel_value" in lines["reading"]
    assert "plumbline_series_alert" in lines["in an incident"]
    assert panel["repeat"] == "channel"


def test_legends_of_overrides_are_legends_of_queries():
    for panel in panels():
        legends = {target["legendFormat"] for target in panel["targets"]}
        for override in panel.get("fieldConfig", {}).get("overrides", []):
            assert override["matcher"] == {"id": "byName", "options": override["matcher"]["options"]}
            assert override["matcher"]["options"] in legends


def test_provisioning_names_what_the_dashboard_asks_for():
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text(encoding="utf-8"))["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards" / "plumbline.yaml").read_text(encoding="utf-8"))["providers"]
    scrape = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))

    assert source["type"] == next(one for one in board()["templating"]["list"] if one["type"] == "datasource")["query"]
    assert source["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]
    assert provider["type"] == "file"
