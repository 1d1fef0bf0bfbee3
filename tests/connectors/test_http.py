"""What the three paths answer, asked over a real socket."""

import json
import socket
import urllib.error
import urllib.request
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, Counter

from pipeline.connectors.http import serve_http
from pipeline.exceptions import PlumblineError, SettingsError
from pipeline.service.health import Deadlines, Health
from pipeline.service.ports import Partition


class StillClock:
    """A clock that a test sets."""

    seconds = 0.0

    def now(self):
        return self.seconds

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def health(clock):
    return Health(clock, Deadlines(turn=60))


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def server(registry, health):
    server = serve_http("127.0.0.1:0", registry, health)
    yield server
    server.close()


def ask(server, path):
    """Status, content type and body."""
    try:
        with urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers["Content-Type"], refusal.read().decode()


def test_metrics_are_the_registry_in_prometheus_text(server, registry):
    Counter("plumbline_test", "Tests.", registry=registry).inc(3)
    status, content_type, body = ask(server, "/metrics")

    assert status == 200
    assert content_type.startswith("text/plain; version=0.0.4")
    assert "# TYPE plumbline_test_total counter\nplumbline_test_total 3.0\n" in body


def test_a_probe_with_a_query_is_the_same_probe(server):
    assert ask(server, "/-/healthy?from=somewhere")[0] == 200


def test_ready_says_why_not_and_then_yes(server, health):
    status, _, reason = ask(server, "/-/ready")
    assert status == 503
    assert "consumer group has not answered" in reason

    health.assigned([Partition("readings", 0)])

    assert ask(server, "/-/ready") == (200, "text/plain; charset=utf-8", "partitions assigned: 1\n")


def test_healthy_turns_to_503_when_the_loop_stands(server, clock):
    assert ask(server, "/-/healthy")[0] == 200
    clock.seconds = 61.0
    status, _, reason = ask(server, "/-/healthy")

    assert status == 503
    assert "the loop has not turned for 61 s" in reason


@pytest.mark.parametrize("path", ["/", "/metrics/", "/-/readyz", "/healthy", "/-/ready/x"])
def test_other_paths_are_not_found(server, path):
    assert ask(server, path)[0] == 404


def test_other_methods_are_refused(server):
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/metrics", method="POST", data=json.dumps(1).encode()
    )
    with pytest.raises(urllib.error.HTTPError, match="501") as refusal:
        urlopen(request, timeout=10)
    refusal.value.close()


def test_a_client_that_says_nothing_does_not_hold_up_others(server):
    with socket.create_connection(("127.0.0.1", server.port)):
        assert ask(server, "/-/healthy")[0] == 200


def test_an_address_in_use_is_named(server, registry, health):
    with pytest.raises(
        PlumblineError, match=rf"cannot listen on 127.0.0.1:{server.port}: Address already in use; stop"
    ):
        serve_http(f"127.0.0.1:{server.port}", registry, health)


def test_a_closed_server_gives_its_port_back(registry, health):
    first = serve_http("127.0.0.1:0", registry, health)
    first.close()
    second = serve_http(f"127.0.0.1:{first.port}", registry, health)
    second.close()

    assert second.port == first.port


@pytest.mark.parametrize("listen", ["", "9464", ":9464", "localhost:", "localhost:http", "localhost:70000", "h:-1"])
def test_what_is_no_address_is_refused(listen, registry, health):
    with pytest.raises(SettingsError, match="write HOST:PORT"):
        serve_http(listen, registry, health)


def test_an_unknown_host_is_named(registry, health):
    with pytest.raises(PlumblineError, match=r"cannot listen on 203\.0\.113\.1:0"):
        serve_http("203.0.113.1:0", registry, health)
