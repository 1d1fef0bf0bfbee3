"""`/metrics`, `/-/healthy` and `/-/ready` on a daemon thread; 404 for the rest.

The server of prometheus_client answers 200 on every path, so a probe of it always passes; hence an own handler.
"""

from __future__ import annotations

import socketserver
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from threading import Thread
from typing import Any, Protocol

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest

from pipeline.exceptions import PlumblineError, SettingsError

PLAIN_TEXT = "text/plain; charset=utf-8"


class Probed(Protocol):
    """Whatever knows how the service is; each answer is a yes or no and its reason."""

    def healthy(self) -> tuple[bool, str]: ...
    def ready(self) -> tuple[bool, str]: ...


class HttpServer:
    """A server that runs until `close`."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Probed) -> None:
        self._server = _Server((host, port), registry, health)
        self.port: int = self._server.server_address[1]  # the one that was given when 0 was asked for
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="plumbline-http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and give the port back."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve_http(listen: str, registry: CollectorRegistry, health: Probed) -> HttpServer:
    """Serve on `listen`, HOST:PORT; port 0 takes a free one.

    SettingsError when `listen` is no address, PlumblineError when it cannot be had.
    """
    host, colon, port = listen.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise SettingsError(f"telemetry.listen is {listen!r}: write HOST:PORT, such as 127.0.0.1:9464")
    try:
        return HttpServer(host.strip("[]"), int(port), registry, health)
    except OSError as error:
        raise PlumblineError(
            f"telemetry.listen: cannot listen on {listen}: {error.strerror or error}; "
            "stop the program that holds the address, or choose another one"
        ) from error


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, health: Probed) -> None:
        self.registry = registry
        self.health = health
        if ":" in address[0]:
            self.address_family = AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Without HTTPServer's question to the name service, which can take seconds.
        socketserver.TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10.0  # seconds that a client may stay silent

    def do_GET(self) -> None:
        """Answer one of the three paths."""
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(self.server.registry), CONTENT_TYPE_PLAIN_0_0_4)
            case "/-/healthy":
                self._probe(*self.server.health.healthy())
            case "/-/ready":
                self._probe(*self.server.health.ready())
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"not found: ask for /metrics, /-/healthy or /-/ready\n", PLAIN_TEXT)

    def _probe(self, ok: bool, reason: str) -> None:
        self._answer(HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE, f"{reason}\n".encode(), PLAIN_TEXT)

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        with suppress(ConnectionError):  # a client that has gone needs no answer
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is no news."""
