"""Records that were no readings: shown, and sent back, on a real broker."""

import json

import pytest
from kafka import KafkaProducer

from pipeline.cli.main import main
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.formats.json import JsonDecoder
from pipeline.service.letters import REPUBLISHED, dead_letter
from tests.service.small import CHANNELS, MAPPING

GOOD = b'{"ts": "2026-01-01T00:00:00Z", "temp": 1.0, "flow": 2.0}'
BAD = {  # value: its reason
    b"{": "syntax",
    b'{"ts": "2026-01-01T00:00:00Z"}': "field",
    b'{"ts": "yesterday", "temp": 1.0}': "time",
    b"\xff\xfe": "encoding",
}
HEADERS = [("trace", b"1"), ("trace", b"2"), ("odd", b"\xff")]


@pytest.fixture
def config(tmp_path, kafka, fresh_name):
    create_topic(Cluster(kafka), fresh_name, partitions=2)
    create_topic(Cluster(kafka), f"{fresh_name}-dead")
    path = tmp_path / "plumbline.yaml"
    path.write_text(f"""
kafka: {{bootstrap_servers: "{kafka}"}}
detectors:
  pumps:
    input: {{topic: {fresh_name}, series: {{key: true}}, time: {{field: ts}}}}
    channels: {{temp: {{}}, flow: {{}}}}
outputs: {{dead_letters: {fresh_name}-dead}}
""")
    return path


class Broker:
    """A topic of readings and its dead letters, written as the service writes them."""

    def __init__(self, servers, topic):
        self.cluster, self.topic, self.dead = Cluster(servers), topic, f"{topic}-dead"
        self._servers = servers
        self._judged = 0

    def write(self, values, topic=None, partition=1, key=b"pump", headers=HEADERS):
        producer = KafkaProducer(bootstrap_servers=self._servers)
        for value in values:
            producer.send(topic or self.topic, value, key, list(headers), partition=partition)
        producer.flush(10)
        producer.close(5)

    def judge(self, again=0):
        """Letters for those records that are no readings and have not been looked at, or that are repeated."""
        records = self.read(self.topic)
        records = records[self._judged - again :]
        self._judged += len(records) - again
        sink = KafkaSink(self.cluster)
        for one in JsonDecoder(MAPPING, CHANNELS).decode(records).rejected:
            sink.send(dead_letter(self.dead, records[one.row], one))
        sink.flush(10)
        sink.close(5)

    def read(self, topic):
        reader = TopicReader(self.cluster, topic)
        try:
            records = [record for records in reader for record in records]
            return sorted(records, key=lambda record: (record.timestamp, record.partition, record.offset))
        finally:
            reader.close()

    def sent_back(self):
        """What stands in the topic of readings with our header, as key, value and headers."""
        return [record for record in self.read(self.topic) if REPUBLISHED in dict(record.headers)]


@pytest.fixture
def broker(kafka, config, fresh_name):
    broker = Broker(kafka, fresh_name)
    broker.write([GOOD, *BAD, GOOD])
    broker.judge()
    return broker


def run(capsys, *words):
    """Standard output by lines, and standard error; the command is to succeed."""
    assert main(["dead-letters", *map(str, words)]) == 0

    said = capsys.readouterr()
    return said.out.splitlines(), said.err


@pytest.mark.kafka
def test_the_list_says_why_whence_and_what(broker, config, capsys):
    lines, _ = run(capsys, "list", config)

    assert lines[0].split() == ["letter", "when", "reason", "record", "key", "detail", "value"]
    assert [line.split()[0] for line in lines[1:-1]] == ["0:0", "0:1", "0:2", "0:3"]
    assert [line.split()[3] for line in lines[1:-1]] == list(BAD.values())
    assert f"time      {broker.topic}[1]@3  pump  ts is 'yesterday', which is no time in iso8601" in lines[3]
    assert lines[3].endswith('{"ts": "yesterday", "temp": 1.0}')
    assert lines[-1] == f"4 letters in {broker.dead}: syntax 1, field 1, time 1, encoding 1"


@pytest.mark.kafka
def test_the_list_shows_the_newest_and_counts_all(broker, config, capsys):
    broker.write([b"{"] * 3)
    broker.judge()
    lines, _ = run(capsys, "list", config, "--limit", 2)
    one_reason, _ = run(capsys, "list", config, "--reason", "field", "time")
    letters, _ = run(capsys, "list", config, "--letter", "0:1", "0:6", "0:99")
    topic, _ = run(capsys, "list", config, "--topic", broker.topic, "--limit", 1)
    other, _ = run(capsys, "list", config, "--topic", "other")
    none, _ = run(capsys, "list", config, "--since", "2096-01-01T00:00")

    assert [line.split()[0] for line in lines] == ["letter", "0:5", "0:6", "7"]
    assert lines[-1].endswith("syntax 4, field 1, time 1, encoding 1; the newest 2 are shown")
    assert one_reason[-1] == f"2 letters in {broker.dead}: field 1, time 1"
    assert [line.split()[0] for line in letters] == ["letter", "0:1", "0:6", "2"]
    assert topic[-1].startswith("7 letters in ")
    assert other == none == [f"no letter of {broker.dead} is among those chosen"]


@pytest.mark.kafka
def test_as_json_no_byte_is_lost(broker, config, capsys):
    lines, told = run(capsys, "list", config, "--json")
    written = [json.loads(line) for line in lines]

    assert [one["reason"] for one in written] == list(BAD.values())
    assert written[1] == {
        "letter": {"topic": broker.dead, "partition": 0, "offset": 1},
        "at": written[1]["at"],
        "reason": "field",
        "detail": "none of the channels is there: temp, flow",
        "record": {"topic": broker.topic, "partition": 1, "offset": 2},
        "truncated": None,
        "republished": None,
        "key": "pump",
        "value": '{"ts": "2026-01-01T00:00:00Z"}',
        "headers": [
            {"name": "trace", "value": "1"},
            {"name": "trace", "value": "2"},
            {"name": "odd", "value_base64": "/w=="},
        ],
    }
    assert written[3]["value_base64"] == "//4="
    assert f"4 letters in {broker.dead}: " in told


@pytest.mark.kafka
def test_what_is_no_letter_is_told_and_left_out(broker, config, capsys):
    broker.write([b"hello"], topic=broker.dead, partition=0)
    lines, told = run(capsys, "list", config)

    assert lines[-1].startswith(f"4 letters in {broker.dead}")
    assert f"1 record of {broker.dead} left out: not written by this program as dead letters" in told


@pytest.mark.kafka
def test_a_record_goes_back_as_it_came_to_where_it_came_from(broker, config, capsys):
    said, _ = run(capsys, "publish", config, "--reason", "field", "encoding")
    back = broker.sent_back()

    assert said == [f"2 records sent to {broker.topic} at {broker.cluster.bootstrap_servers}"]
    assert [(record.partition, record.key, record.value) for record in back] == [
        (1, b"pump", b'{"ts": "2026-01-01T00:00:00Z"}'),
        (1, b"pump", b"\xff\xfe"),
    ]
    assert [record.headers for record in back] == [
        [*HEADERS, (REPUBLISHED, f"{broker.topic}[1]@{offset} by letter {broker.dead}[0]@{letter}".encode())]
        for offset, letter in ((2, 1), (4, 3))
    ]


@pytest.mark.kafka
def test_nothing_goes_back_twice(broker, config, capsys):
    run(capsys, "publish", config, "--limit", 1)
    run(capsys, "publish", config, "--limit", 2)
    said, told = run(capsys, "publish", config, "--all")
    again, told_again = run(capsys, "publish", config, "--all")

    assert [record.value for record in broker.sent_back()] == list(BAD)
    assert said[0].startswith("1 record sent to ")
    assert "3 letters left out: their record was sent back before" in told
    assert again == [
        f"nothing to send: {broker.dead} holds no letter of these that can be sent back, or still is to be"
    ]
    assert "4 letters left out: their record was sent back before" in told_again


@pytest.mark.kafka
def test_what_is_rejected_again_can_go_back_again_and_is_seen_to(broker, config, capsys):
    run(capsys, "publish", config, "--reason", "time")
    broker.judge()
    lines, _ = run(capsys, "list", config, "--reason", "time")
    said, told = run(capsys, "publish", config, "--reason", "time")

    assert "  ts is 'yesterday'" in lines[1]
    assert "  again: ts is 'yesterday'" in lines[2]
    assert said[0].startswith("1 record sent to ")
    assert "1 letter left out: their record was sent back before" in told
    assert [[value for name, value in record.headers if name == REPUBLISHED] for record in broker.sent_back()] == [
        [f"{broker.topic}[1]@3 by letter {broker.dead}[0]@2".encode()],
        [f"{broker.topic}[1]@6 by letter {broker.dead}[0]@4".encode()],
    ]


@pytest.mark.kafka
def test_letters_that_a_restart_repeated_go_back_once(broker, config, capsys):
    broker.judge(again=6)
    said, told = run(capsys, "publish", config, "--all")

    assert said[0].startswith("4 records sent to ")
    assert "4 letters left out: they hold a record that another one holds, as after a restart" in told
    assert len(broker.sent_back()) == 4


@pytest.mark.kafka
def test_what_was_cut_and_what_is_of_another_topic_stays(broker, config, kafka, fresh_name, capsys):
    broker.write([b"x" * 1_000_000])
    broker.judge()
    text = config.read_text()
    run(capsys, "publish", config, "--reason", "syntax")
    lines, _ = run(capsys, "list", config)
    _, told = run(capsys, "publish", config, "--all", "--dry-run")
    create_topic(Cluster(kafka), f"{fresh_name}-other")
    config.write_text(text.replace(f"topic: {fresh_name},", f"topic: {fresh_name}-other,"))
    said, elsewhere = run(capsys, "publish", config, "--all")

    assert lines[-2].endswith("(cut)")
    assert "1 letter left out: they hold only a part of their record" in told
    assert said[0].startswith("nothing to send")
    assert f"5 letters left out: no detector of {config} reads {fresh_name}" in elsewhere


@pytest.mark.kafka
def test_a_dry_run_shows_what_it_would_send_and_sends_nothing(broker, config, capsys):
    lines, _ = run(capsys, "publish", config, "--since", "1h", "--limit", 2, "--dry-run")

    assert [line.split()[0] for line in lines] == ["letter", "0:0", "0:1", "2"]
    assert lines[-1] == f"2 records would be sent to {broker.topic}; nothing was sent"
    assert broker.sent_back() == []


@pytest.mark.kafka
def test_records_go_back_in_the_order_in_which_they_came(broker, config, kafka, fresh_name, capsys):
    for round_ in range(3):
        for partition in (0, 1):
            broker.write([b"%d" % round_], partition=partition, key=None)
    broker.judge()
    run(capsys, "publish", config, "--reason", "type")

    assert [record.value for record in broker.sent_back() if record.partition == 0] == [b"0", b"1", b"2"]
    assert [record.value for record in broker.sent_back() if record.partition == 1] == [b"0", b"1", b"2"]


@pytest.mark.kafka
def test_a_topic_of_letters_that_is_not_there_is_named(config, fresh_name, capsys):
    config.write_text(config.read_text().replace("-dead", "-death"))

    assert main(["dead-letters", "list", str(config)]) == 1
    assert f"there is no topic {fresh_name}-death" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "--reason", "feild"], "--reason feild: there is no such reason; did you mean field?"),
        (["list", "--limit", "0"], "--limit is 0: at least 1 is needed"),
        (["list", "--letter", "17"], "--letter 17: a partition and an offset are needed, as in 0:17"),
        (["list", "--since", "lately"], "--since is 'lately': a length of time such as 90min, 36h or 14d is needed"),
        (["publish"], "which letters? Choose by --reason, --topic, --since, --letter or --limit, or take --all"),
        (["publish", "--dry-run"], "which letters? Choose by --reason"),
        (
            ["publish", "--all", "--reason", "field"],
            "or take --all, not both",
        ),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(tmp_path, words, message, capsys):
    code = main(["dead-letters", words[0], str(tmp_path / "plumbline.yaml"), *words[1:]])

    assert code == 2
    assert message in capsys.readouterr().err


def test_without_a_topic_of_letters_there_is_nothing_to_show(tmp_path, capsys):
    path = tmp_path / "plumbline.yaml"
    path.write_text("{kafka: {}, detectors: {pumps: {input: {topic: readings}}}, outputs: {dead_letters: null}}")

    assert main(["dead-letters", "list", str(path)]) == 2
    assert "outputs.dead_letters is null: nothing is kept of what is no reading" in capsys.readouterr().err
