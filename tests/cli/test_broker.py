from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.broker import cluster_of
from pipeline.exceptions import SettingsError
from pipeline.settings import parse_settings


def cluster(kafka, environment, folder=Path("/etc")):
    return cluster_of(parse_settings(f"kafka: {kafka}\ndetectors: {{a: }}", folder / "a.yaml"), "serve", environment)


def refusal(kafka, environment=None, folder=Path("/etc")):
    with pytest.raises(SettingsError) as refused:
        cluster(kafka, environment or {}, folder)
    return str(refused.value)


def test_the_environment_names_other_brokers():
    assert cluster("{bootstrap_servers: a:1}", {}).bootstrap_servers == "a:1"
    assert cluster("{bootstrap_servers: a:1}", {"KAFKA_BOOTSTRAP_SERVERS": "b:2"}).bootstrap_servers == "b:2"
    assert cluster("{bootstrap_servers: a:1}", {"KAFKA_BOOTSTRAP_SERVERS": ""}).bootstrap_servers == "a:1"


def test_passwords_are_fetched_when_they_are_used_and_not_shown(tmp_path):
    (tmp_path / "pw").write_text("from file\nand a second line\n")
    kafka = (
        "{client: {security_protocol: SASL_SSL, sasl_mechanism: PLAIN, sasl_plain_username: me, "
        "sasl_plain_password: {env: PW}, ssl_password: {file: pw}}}"
    )
    found = cluster(kafka, {"PW": "from environment"}, tmp_path)

    assert found.client["sasl_plain_password"] == "from environment"
    assert found.client["ssl_password"] == "from file"
    assert "from" not in repr(found)
    assert cluster("{client: {security_protocol: SSL, ssl_password: written}}", {}).client["ssl_password"] == "written"


def test_a_password_that_is_not_there_is_refused_by_its_key(tmp_path):
    (tmp_path / "empty").write_text("\n")
    kafka = "{client: {ssl_password: %s}}"

    assert refusal(kafka % "{env: PW}") == "kafka.client.ssl_password: the environment variable PW is empty or not set"
    assert refusal(kafka % "{file: empty}", folder=tmp_path) == (
        f"kafka.client.ssl_password: the first line of {tmp_path}/empty is empty: the password stands there"
    )
    assert refusal(kafka % "{file: nowhere}", folder=tmp_path) == (
        f"kafka.client.ssl_password: {tmp_path}/nowhere cannot be read: "
        f"[Errno 2] No such file or directory: '{tmp_path}/nowhere'"
    )


def test_settings_of_the_client_that_contradict_each_other_are_refused():
    assert refusal("{client: {ssl_password: written}}") == (
        "/etc/a.yaml: kafka.client.ssl_password has no effect with security_protocol PLAINTEXT: name the protocol"
    )


def test_a_configuration_without_kafka_is_refused_where_it_is_needed():
    with pytest.raises(SettingsError) as refused:
        cluster_of(parse_settings("detectors: {a: }", Path("a.yaml")), "serve", {})

    assert str(refused.value) == (
        "a.yaml has no section kafka, which plumbline serve needs: add kafka: {bootstrap_servers: localhost:9092}"
    )
