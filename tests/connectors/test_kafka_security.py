"""TLS and SASL against a real broker that demands them: each mistake is named, at once where it can be, no password."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.connectors.kafka_certificates import check_certificates
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.kafka_source import KafkaSource
from pipeline.connectors.local_broker import LocalBroker
from pipeline.exceptions import BrokerError
from pipeline.service.ports import Message

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PASSWORD = "a-secret-that-is-never-shown"
QUICKLY = {"bootstrap_timeout_ms": 3_000}  # of the 10 s that are the default
AT_ONCE = 5.0  # seconds: well before those 10, where the files or the broker's answer say what is wrong
IN_THE_END = 10.0  # seconds, where nobody says anything; a machine under load takes longer than what is asked for


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def authority(folder, name):
    openssl(
        folder,
        *f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem".split(),
    )


def certificate(folder, name, signed_by, names, days=2):
    """A certificate with its key, and both as the PKCS12 store that a broker wants."""
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
    openssl(folder, *f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr".split())
    signing = f"x509 -req -in {name}.csr -CA {signed_by}.pem -CAkey {signed_by}.key -CAcreateserial -days {days}"
    openssl(folder, *f"{signing} -extfile {name}.ext -out {name}.pem".split())
    openssl(folder, *f"pkcs12 -export -in {name}.pem -inkey {name}.key -out {name}.p12 -passout pass:storepass".split())


@dataclass(frozen=True)
class Secured:
    """A broker with listeners of every kind, and the certificates."""

    folder: Path
    plain: str  # host:port
    sasl: str  # SASL_SSL
    mutual: str  # SSL, the client shows a certificate
    foreign: str  # SSL, a certificate for another host


@pytest.fixture(scope="module")
def secured(tmp_path_factory, kafka_jars):
    folder = tmp_path_factory.mktemp("certificates")
    authority(folder, "ca")
    authority(folder, "other-ca")
    certificate(folder, "broker", "ca", "DNS:localhost,IP:127.0.0.1")
    certificate(folder, "elsewhere", "ca", "DNS:kafka.elsewhere.example")
    certificate(folder, "client", "ca", "DNS:client")
    certificate(folder, "late", "ca", "DNS:client", days=0)
    openssl(folder, "rsa", "-aes256", "-passout", "pass:other", "-in", "client.key", "-out", "locked.key")
    users = [f"{mechanism}=[name=bob,password={PASSWORD}]" for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
    kinds = {"SASL": "SASL_SSL", "MUTUAL": "SSL", "FOREIGN": "SSL"}
    with LocalBroker(kafka_jars, settings_of(folder), listeners=kinds, users=users) as broker:
        yield Secured(folder, broker.bootstrap_servers, *map(broker.address, kinds))


def settings_of(folder):
    """What the broker is told of its listeners."""
    login = "org.apache.kafka.common.security"
    settings = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.sasl.plain.sasl.jaas.config": (
            f'{login}.plain.PlainLoginModule required user_alice="{PASSWORD}";'
        ),
        "listener.name.sasl.scram-sha-256.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
    }
    for name, store in (("sasl", "broker"), ("mutual", "broker"), ("foreign", "elsewhere")):
        settings |= {
            f"listener.name.{name}.ssl.keystore.type": "PKCS12",
            f"listener.name.{name}.ssl.keystore.location": str(folder / f"{store}.p12"),
            f"listener.name.{name}.ssl.keystore.password": "storepass",
            f"listener.name.{name}.ssl.key.password": "storepass",
        }
    return settings


def sasl(secured, mechanism="SCRAM-SHA-512", user="bob", **changes):
    client = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": user,
        "sasl_plain_password": PASSWORD,
        "ssl_cafile": str(secured.folder / "ca.pem"),
    }
    return Cluster(secured.sasl, client | changes)


def mutual(secured, **changes):
    client = {
        "security_protocol": "SSL",
        "ssl_cafile": str(secured.folder / "ca.pem"),
        "ssl_certfile": str(secured.folder / "client.pem"),
        "ssl_keyfile": str(secured.folder / "client.key"),
    }
    return Cluster(secured.mutual, client | changes)


@pytest.mark.parametrize(
    "cluster_of",
    [
        lambda secured: sasl(secured, "PLAIN", "alice"),
        lambda secured: sasl(secured, "SCRAM-SHA-256"),
        lambda secured: sasl(secured, "SCRAM-SHA-512"),
        mutual,
    ],
    ids=["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "mutual TLS"],
)
def test_records_go_there_and_back_and_offsets_are_committed(secured, cluster_of, fresh_name):
    cluster = cluster_of(secured)
    create_topic(cluster, fresh_name)
    sink = KafkaSink(cluster)
    sink.send(Message(fresh_name, b"k", b"v"))
    sink.flush(10)
    sink.close(1)
    source = KafkaSource(cluster, fresh_name, [fresh_name])
    while not (assigned := source.poll(0.5).assigned):
        pass
    source.seek(assigned[0], 0)
    source.commit({assigned[0]: 1})
    assert source.committed(assigned[0]) == 1
    source.close(1)
    reader = TopicReader(cluster, fresh_name)

    assert [record.value for records in reader for record in records] == [b"v"]
    reader.close()


MISTAKES = {
    "wrong password": (lambda s: sasl(s, sasl_plain_password="wrong"), "Authentication.*user or password"),
    "wrong password, SCRAM-SHA-256": (lambda s: sasl(s, "SCRAM-SHA-256", sasl_plain_password="wrong"), "Authenticat"),
    "wrong password, PLAIN": (lambda s: sasl(s, "PLAIN", "alice", sasl_plain_password="wrong"), "Authentication"),
    "unknown user": (lambda s: sasl(s, user="nobody"), "Authentication"),
    "mechanism that is not offered": (
        lambda s: sasl(s, "GSSAPI", sasl_kerberos_service_name="kafka"),
        "offers another kafka.client.sasl_mechanism|gssapi",
    ),
    "unknown authority": (
        lambda s: sasl(s, ssl_cafile=str(s.folder / "other-ca.pem")),
        "ssl_cafile must hold the authority",
    ),
    "no such file": (
        lambda s: sasl(s, ssl_cafile=str(s.folder / "none.pem")),
        "ssl_cafile: .* cannot be read: No such",
    ),
    "not a certificate": (
        lambda s: sasl(s, ssl_cafile=str(s.folder / "broker.key")),
        "ssl_cafile: .* holds no certificate in PEM",
    ),
    "key of another certificate": (
        lambda s: mutual(s, ssl_keyfile=str(s.folder / "broker.key")),
        "that key belongs to another certificate",
    ),
    "key without its password": (
        lambda s: mutual(s, ssl_keyfile=str(s.folder / "locked.key")),
        "a key that is encrypted needs kafka.client.ssl_password",
    ),
    "no certificate shown": (
        lambda s: mutual(s, ssl_certfile=None, ssl_keyfile=None),
        "asks for a certificate of ours",
    ),
    "a certificate of the past": (
        lambda s: mutual(s, ssl_certfile=str(s.folder / "late.pem"), ssl_keyfile=str(s.folder / "late.key")),
        "our certificate has expired|does not trust our certificate",
    ),
    "certificate for another host": (
        lambda s: Cluster(s.foreign, {"security_protocol": "SSL", "ssl_cafile": str(s.folder / "ca.pem")}),
        "for another host than bootstrap_servers",
    ),
}
UNSAID = {
    "TLS to a plain listener": (
        lambda s: Cluster(s.plain, QUICKLY | {"security_protocol": "SSL", "ssl_cafile": str(s.folder / "ca.pem")}),
        "seems not to speak TLS",
    ),
    "plain to a TLS listener": (lambda s: Cluster(s.sasl, QUICKLY), "whether that listener expects TLS or SASL"),
}


@pytest.mark.parametrize("mistake", [*MISTAKES, *UNSAID])
def test_a_mistake_is_named_in_time_and_no_password_is(secured, mistake, caplog, capfd):
    cluster_of, said = (MISTAKES | UNSAID)[mistake]
    began = time.monotonic()
    with pytest.raises(BrokerError, match=said) as failure:
        KafkaSink(cluster_of(secured))

    assert time.monotonic() - began < (AT_ONCE if mistake in MISTAKES else IN_THE_END)
    out, err = capfd.readouterr()
    assert PASSWORD not in str(failure.value) + caplog.text + out + err
    assert "wrong" not in str(failure.value).replace("WRONG_VERSION", "")


def test_an_authority_of_the_past_is_named_before_connecting(secured):
    client, in_a_week = sasl(secured).client, time.time() + 7 * 86_400
    check_certificates(client, time.time())

    with pytest.raises(BrokerError, match=r"ssl_cafile: .*ca\.pem expired at .* GMT"):
        check_certificates(client, in_a_week)


def test_one_broker_of_two_that_refuses_us_is_passed_over(secured):
    good = sasl(secured)
    both = Cluster(f"{secured.foreign},{secured.sasl}", good.client)

    KafkaSink(both).close(1)


def test_check_and_serve_say_the_same_of_a_wrong_password(secured, tmp_path, monkeypatch, capsys):
    from tests.service.small import bundled

    monkeypatch.setenv("KAFKA_PASSWORD", "wrong-one")
    bundle = bundled(tmp_path / "pumps")
    config = tmp_path / "plumbline.yaml"
    config.write_text(
        f"""
kafka:
  bootstrap_servers: {secured.sasl}
  client:
    security_protocol: SASL_SSL
    sasl_mechanism: SCRAM-SHA-512
    sasl_plain_username: bob
    sasl_plain_password: {{env: KAFKA_PASSWORD}}
    ssl_cafile: {secured.folder / "ca.pem"}
    bootstrap_timeout_ms: 3000
detectors: {{pumps: {{bundle: {bundle}, input: {{topic: readings}}}}}}
telemetry: {{listen: null}}
"""
    )
    codes = [main(["serve", str(config)]), main(["check", str(config), "--connect"])]
    out, err = capsys.readouterr()

    assert codes == [1, 1]
    assert (out + err).count("uthentication") >= 2
    assert "wrong-one" not in out + err
