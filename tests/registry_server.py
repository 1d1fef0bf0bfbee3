"""A registry of schemas that speaks the real protocol over HTTP, with the faults that a real one may have."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


class RegistryServer:
    """Answers until `close`; what is registered stays when it is started again on its port."""

    def __init__(self, *, login=None, certificate=None, authority=None):
        """`login` is user:password, `certificate` a file with its key; an `authority` asks for one of the client."""
        self.schemas: dict[int, dict[str, object]] = {}
        self.asked: Counter[str] = Counter()  # requests by path
        self.fault = None  # given the handler, answers in the registry's place
        self.released = Event()  # a fault that hangs waits for this
        self._login = None if login is None else f"Basic {base64.b64encode(login.encode()).decode()}"
        self._tls = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*certificate)
            if authority is not None:
                self._tls.load_verify_locations(authority)
                self._tls.verify_mode = ssl.CERT_REQUIRED
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def register(self, schema, *, number=None, **more):
        """Keep a schema under a number, as POST /subjects/{subject}/versions does; the number."""
        number = len(self.schemas) + 1 if number is None else number
        text = schema if isinstance(schema, str) else json.dumps(schema)
        self.schemas[number] = {"schema": text, **more}
        return number

    def start(self):
        registry = self

        class Handler(_Handler):
            kept = registry

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def may(self, authorization):
        return self._login is None or authorization == self._login


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """A client that hung up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    kept: RegistryServer

    def do_GET(self):
        self.kept.asked[self.path] += 1
        if self.kept.fault is not None:
            self.kept.fault(self)
            return
        if not self.kept.may(self.headers.get("Authorization")):
            self.answer(401, {"error_code": 401, "message": "Unauthorized"})
            return
        found = re.fullmatch(r"/schemas/ids/([0-9]+)", self.path)
        if found is None:
            self.answer(404, {"error_code": 404, "message": "HTTP 404 Not Found"})
        elif int(found[1]) not in self.kept.schemas:
            self.answer(404, {"error_code": 40403, "message": f"Schema {found[1]} not found"})
        else:
            self.answer(200, self.kept.schemas[int(found[1])])

    def answer(self, status, document, **headers):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        """Nothing on the terminal."""


def framed(number, body):
    """A record in Confluent's wire format."""
    return b"\x00" + number.to_bytes(4, "big") + body
