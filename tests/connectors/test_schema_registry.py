"""The client of the registry against a server that speaks its protocol over real HTTP and TLS."""

from __future__ import annotations

import subprocess
from itertools import count

import pytest

from pipeline.connectors.schema_registry import UNKNOWN_FOR, Access, SchemaRegistry
from pipeline.exceptions import RegistryError, SettingsError
from pipeline.formats.schemas import Schema
from tests.registry_server import RegistryServer

LONG = {"type": "record", "name": "R", "fields": []}
PASSWORD = "a-secret-that-is-never-shown"


class HandClock:
    """Monotonic seconds that a test moves."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def server():
    with_faults = RegistryServer()
    yield with_faults
    with_faults.close()


def client(server, clock=None, **access):
    return SchemaRegistry(Access(server.url, **access), clock or HandClock())


def test_a_schema_is_asked_for_once(server):
    number = server.register(LONG)
    registry = client(server)
    found = [registry.schema(number) for _ in range(3)]

    assert found == [Schema('{"type": "record", "name": "R", "fields": []}')] * 3
    assert server.asked == {f"/schemas/ids/{number}": 1}


def test_what_is_known_is_known_when_the_registry_goes_away(server):
    number = server.register(LONG)
    registry = client(server)
    before = registry.schema(number)
    server.close()

    assert registry.schema(number) == before
    with pytest.raises(RegistryError, match=rf"^{server.url} cannot be reached: .*Connection refused"):
        registry.schema(number + 1)


def test_a_number_that_is_unknown_is_asked_for_again_after_a_while(server):
    clock = HandClock()
    registry = client(server, clock)
    unknown = [registry.schema(7) for _ in range(3)]
    server.register(LONG, number=7)
    clock.seconds += UNKNOWN_FOR / 2
    still = registry.schema(7)
    clock.seconds += UNKNOWN_FOR

    assert unknown == [Schema(None, "the registry knows no schema 7")] * 3 == [still] * 3
    assert registry.schema(7).text is not None
    assert server.asked == {"/schemas/ids/7": 2}


def test_a_schema_of_another_kind_is_of_no_use_and_no_error(server):
    registry = client(server)
    proto = server.register('syntax = "proto3";', schemaType="PROTOBUF")
    parts = server.register(LONG, references=[{"name": "a", "subject": "a", "version": 1}])

    assert registry.schema(proto) == Schema(None, f"schema {proto} is of PROTOBUF, not of Avro")
    assert registry.schema(parts).why == f"schema {parts} refers to other schemas of the registry, which is not read"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda call: call.answer(401, {"error_code": 401}), r"lets us not in \(status 401\): mend .*password"),
        (lambda call: call.answer(403, {"error_code": 40301}), "lets us not in"),
        (lambda call: call.answer(404, b"<html>not found</html>"), "not as a registry of schemas .status 404.: mend"),
        (lambda call: call.answer(404, {"error_code": 404}), "not as a registry of schemas"),
        (lambda call: call.answer(404, b"[" * 100_000), "not as a registry of schemas"),
        (lambda call: call.answer(200, b"hello"), "not as a registry of schemas .status 200."),
        (lambda call: call.answer(200, {"schema": 7}), "not as a registry of schemas"),
        (lambda call: call.answer(302, b"", Location="http://elsewhere.example/"), "is elsewhere .status 302.*url"),
        (lambda call: call.answer(500, {"error_code": 50001}), "answers with status 500: it has to be mended there"),
        (lambda call: call.answer(200, b"x" * 5_000_000), "more than 4194304 bytes"),
        (lambda call: call.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n"), "cannot be reached"),
        (lambda call: call.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), "not as a registry|reached"),
    ],
)
def test_any_other_answer_is_no_word_about_a_schema(server, fault, words):
    number = server.register(LONG)
    server.fault = fault
    registry = client(server)
    with pytest.raises(RegistryError, match=words):
        registry.schema(number)
    server.fault = None

    assert registry.schema(number).text is not None


def test_one_that_does_not_answer_is_given_up_in_time(server):
    server.fault = lambda call: call.kept.released.wait(20)

    with pytest.raises(RegistryError, match=r"no answer within 0.2 s|did not answer within 0.2 s"):
        client(server, timeout_seconds=0.2).schema(1)


def test_one_that_sends_a_byte_now_and_then_is_given_up_in_time(server):
    def drip(call):
        call.send_response(200)
        call.end_headers()
        while not call.kept.released.wait(0.01):
            call.wfile.write(b" ")

    server.fault = drip
    clock = count().__next__  # a second later whenever it is asked

    with pytest.raises(RegistryError, match="did not answer within 5 s"):
        client(server, clock, timeout_seconds=5).schema(1)


def test_a_password_is_asked_for_and_never_shown():
    server = RegistryServer(login=f"plumbline:{PASSWORD}")
    number = server.register(LONG)
    try:
        right = Access(server.url, "plumbline", PASSWORD)
        assert SchemaRegistry(right).schema(number).text is not None
        assert PASSWORD not in repr(right)
        for access in (Access(server.url), Access(server.url, "plumbline", PASSWORD.upper())):
            with pytest.raises(RegistryError, match="lets us not in") as refused:
                SchemaRegistry(access).schema(number)
            assert PASSWORD.upper() not in str(refused.value)
    finally:
        server.close()


def test_only_a_registry_is_reached(server):
    client(server).reach()
    server.fault = lambda call: call.answer(200, {"hello": "world"})

    with pytest.raises(RegistryError, match="not as a registry"):
        client(server).reach()


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, a server's certificate, one of ours, and an authority that signed none of them."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "other"):
        openssl(
            folder,
            *f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem".split(),
        )
    for name in ("server", "client"):
        (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl(folder, *f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr".split())
        signing = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile {name}.ext"
        openssl(folder, *f"{signing} -out {name}.pem".split())
    return folder


def test_it_is_trusted_by_its_certificate_alone(certificates):
    server = RegistryServer(certificate=(certificates / "server.pem", certificates / "server.key"))
    number = server.register(LONG)
    try:
        assert client(server, ca_file=str(certificates / "ca.pem")).schema(number).text is not None
        for authority in (str(certificates / "other.pem"), None):
            with pytest.raises(RegistryError, match=r"its certificate is not to be trusted .* mend .*ca_file"):
                client(server, ca_file=authority).schema(number)
    finally:
        server.close()


def test_it_may_ask_for_a_certificate_of_ours(certificates):
    ca = str(certificates / "ca.pem")
    server = RegistryServer(certificate=(certificates / "server.pem", certificates / "server.key"), authority=ca)
    number = server.register(LONG)
    ours = {"certificate_file": str(certificates / "client.pem"), "key_file": str(certificates / "client.key")}
    try:
        assert client(server, ca_file=ca, **ours).schema(number).text is not None
        with pytest.raises(RegistryError, match="cannot be reached"):
            client(server, ca_file=ca).schema(number)
    finally:
        server.close()


def test_a_file_that_is_no_certificate_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("hello")

    with pytest.raises(SettingsError, match=r"schema_registry: .*ca.pem cannot be read as certificates"):
        SchemaRegistry(Access("https://localhost", ca_file=str(tmp_path / "ca.pem")))
