"""Every query of dashboard and rules, asked of a real Prometheus that scrapes the real service on a real Kafka."""

import os
import shutil
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.deploy.live import SERIES, live, publish, scraping, serving, three_ports
from tests.deploy.promql import dashboard_queries, rules, selectors, variables

pytestmark = [pytest.mark.prometheus, pytest.mark.kafka, pytest.mark.slow]

BROKEN = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def ports():
    return three_ports()


@pytest.fixture(scope="module")
def topic():
    return f"plumbline-test-{os.getpid()}-prometheus"


@pytest.fixture(scope="module")
def service(folder, kafka, topic, ports):
    with serving(folder, kafka, topic, ports.service) as process:
        yield process


@pytest.fixture(scope="module")
def prometheus(folder, kafka, topic, ports, service):
    """A Prometheus that has seen the service idle, reload, score, and then at rest in the midst of incidents."""
    with scraping(folder, ports) as prometheus:
        service.until(lambda: prometheus.values("plumbline_ready == 1"))
        service.hang_up()
        service.until(lambda: prometheus.values('plumbline_model_reloads_total{result="ok"}') == [1])
        publish(kafka, topic, live(), BROKEN)
        service.until(lambda: prometheus.values("sum(plumbline_readings_total)") == [len(live()) + BROKEN])
        service.until(lambda: prometheus.values('plumbline_dead_letters_total{result="ok"}') == [BROKEN])
        yield prometheus


@pytest.fixture(scope="module")
def chosen(prometheus):
    """A value for each variable of the dashboard, chosen in turn as Grafana does."""
    values = {"__rate_interval": "1m", "__range": "5m"}
    for name, selector, label in variables():
        found = prometheus.get(f"label/{label}/values", **{"match[]": fill(selector, values)})
        values[name] = found[0] if found else f"no value for {name}"
    return values


def fill(expression, values):
    """The expression with values for its variables."""
    for name in sorted(values, key=len, reverse=True):
        expression = expression.replace(f"${name}", values[name])
    return expression


def test_every_variable_has_a_choice(chosen):
    assert {name: chosen[name] for name in ("job", "detector", "series", "channel")} == {
        "job": "plumbline",
        "detector": "pumps",
        "series": "pump-0",
        "channel": "flow",
    }
    assert chosen["instance"].startswith("127.0.0.1:")


def test_every_query_of_the_dashboard_is_answered(prometheus, chosen):
    asked = {where: fill(expression, chosen) for where, expression in dashboard_queries()}
    unanswered = {where: expression for where, expression in asked.items() if not prometheus.values(expression)}

    assert len(asked) == len(dashboard_queries())
    assert not unanswered


def test_everything_that_a_rule_looks_at_is_there(prometheus):
    looked_at = {rule["alert"]: selectors(rule["expr"]) for rule in rules()}
    absent = [(alert, one) for alert, some in looked_at.items() for one in some if not prometheus.values(one)]

    assert all(looked_at.values())
    assert not absent
    for rule in rules():
        assert prometheus.get("query", query=rule["expr"])["resultType"] == "vector"


def test_a_healthy_service_fires_nothing_and_a_missing_one_does(prometheus):
    prometheus.until(lambda: prometheus.values('ALERTS{alertstate="firing"}'))
    firing = prometheus.get("query", query='ALERTS{alertstate="firing"}')["result"]

    assert [(one["metric"]["alertname"], one["metric"]["job"]) for one in firing] == [
        ("PlumblineDown", "plumbline-gone")
    ]


def test_the_figures_are_those_of_what_was_published(prometheus):
    assert prometheus.values("plumbline_ready") == [1]
    assert prometheus.values('sum(plumbline_readings_total{outcome="invalid"})') == [BROKEN]
    assert prometheus.values('sum(plumbline_invalid_total{reason="syntax"})') == [BROKEN]
    assert prometheus.values("sum(plumbline_open_incidents)") == [len(SERIES)]
    assert prometheus.values("plumbline_series") == [len(SERIES)]
    assert prometheus.values("max(plumbline_lag_records)") == [0]
    assert prometheus.values("sum(plumbline_assigned_partitions)") == [2]
    assert prometheus.values('plumbline_restores_total{reason="first_start"}') == [2]


def test_the_sensor_can_be_drawn(prometheus):
    for row in live().tail(len(SERIES)).itertuples():
        assert prometheus.values(f'plumbline_channel_value{{series="{row.series}", channel="temp"}}') == [row.temp]
        assert prometheus.values(f'plumbline_channel_value{{series="{row.series}", channel="flow"}}') == [row.flow]
    between = "plumbline_channel_lower < plumbline_channel_expected < plumbline_channel_upper"

    assert len(prometheus.values(between)) == 2 * len(SERIES)


def test_the_service_answers_probes(ports, prometheus):
    for path in ("/-/ready", "/-/healthy"):
        with urlopen(f"http://127.0.0.1:{ports.service}{path}", timeout=10) as answer:
            assert answer.status == 200
    with pytest.raises(HTTPError, match="404") as refusal:
        urlopen(f"http://127.0.0.1:{ports.service}/", timeout=10)
    refusal.value.close()
