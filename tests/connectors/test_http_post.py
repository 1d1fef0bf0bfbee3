"""Posts to a real server that answers well, badly, late and not at all."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.connectors.http_post import HttpPost
from pipeline.exceptions import RefusedError, SettingsError, UndeliveredError


class Server:
    """Answers with what it is told to, and notes what it was sent."""

    def __init__(self):
        self.answer, self.headers, self.got, self.hang = 200, {}, [], threading.Event()
        self.hang.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                server.got.append((self.path, dict(self.headers.items()), body))
                server.hang.wait(5)
                self.send_response(server.answer)
                for name, text in server.headers.items():
                    self.send_header(name, text)
                self.send_header("content-length", "4")
                self.end_headers()
                self.wfile.write(b"why\n")

            def log_message(self, *_):
                """Nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/alerts"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.hang.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.mark.parametrize("answer", [200, 201, 202, 204])
def test_what_is_taken_is_taken(server, answer):
    server.answer = answer
    HttpPost(5.0)(server.url, b"body", {"content-type": "application/json", "ce-id": "7"})
    path, headers, body = server.got[0]

    assert (path, body) == ("/alerts", b"body")
    assert {name.lower(): text for name, text in headers.items()}["ce-id"] == "7"


@pytest.mark.parametrize("answer", [400, 410, 413, 422])
def test_a_content_that_is_never_taken_is_refused_with_the_answer(server, answer):
    server.answer = answer
    with pytest.raises(RefusedError, match=f"/alerts answered {answer}: why"):
        HttpPost(5.0)(server.url, b"body", {})


@pytest.mark.parametrize("answer", [301, 302, 308, 401, 403, 404, 408, 429, 500, 502, 503])
def test_all_else_may_be_mended_and_is_to_be_tried_again(server, answer):
    server.answer, server.headers = answer, {"location": "http://127.0.0.1:1/"}
    with pytest.raises(UndeliveredError, match=f"/alerts answered {answer}: why") as found:
        HttpPost(5.0)(server.url, b"body", {})
    assert found.value.after == 0.0
    assert len(server.got) == 1


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("86400", 300.0), ("soon", 0.0), ("-1", 0.0)])
def test_an_answer_may_ask_us_to_wait_but_not_for_ever(server, asked, waited):
    server.answer, server.headers = 503, {"retry-after": asked}
    with pytest.raises(UndeliveredError) as found:
        HttpPost(5.0)(server.url, b"body", {})
    assert found.value.after == waited


def test_a_server_that_hangs_is_given_up_after_the_time_limit(server):
    server.hang.clear()
    began = time.monotonic()
    with pytest.raises(UndeliveredError, match="did not answer: timed out"):
        HttpPost(0.3)(server.url, b"body", {})
    assert time.monotonic() - began < 3


def test_a_server_that_is_not_there_is_named_without_what_is_secret_in_its_address(server):
    server.close()
    address = server.url.replace("http://", "http://user:secret@") + "?token=secret"
    with pytest.raises(UndeliveredError) as found:
        HttpPost(1.0)(address, b"body", {})
    assert server.url in str(found.value)
    assert "secret" not in str(found.value)


def test_authorities_that_are_none_are_refused_at_once(tmp_path):
    (tmp_path / "ca.pem").write_text("none")
    for path in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(SettingsError, match=f"ca_file: {path} cannot be read"):
            HttpPost(1.0, path)
