"""`plumbline dead-letters` against a real broker."""

from __future__ import annotations

import json

import pytest

from pipeline.cli.main import main
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.records import Reason, Rejected
from pipeline.service.letters import LETTER_BYTES, REPUBLISHED, dead_letter
from pipeline.service.ports import Message
from tests.service.memory import Entry

pytestmark = pytest.mark.kafka

RECORDS = [
    (Entry("{name}-readings", 0, 10, b"pump-1", b'{"ts": "yesterday"}', (("trace", b"77"),)), Reason.TIME),
    (Entry("{name}-readings", 1, 11, None, b"\xff\xfe"), Reason.ENCODING),
    (Entry("{name}-other", 0, 12, b"pump-2", b'{"ts": "tomorrow"}'), Reason.TIME),
    (Entry("{name}-readings", 0, 13, b"pump-1", b"x" * (LETTER_BYTES + 1)), Reason.OVERSIZE),
]


@pytest.fixture
def config(kafka, fresh_name, tmp_path):
    """A configuration whose topic of dead letters holds four letters and a record that is none."""
    cluster = Cluster(kafka)
    for kind in ("readings", "other", "dead"):
        create_topic(cluster, f"{fresh_name}-{kind}")
    sink = KafkaSink(cluster)
    for record, reason in RECORDS:
        record = Entry(record.topic.format(name=fresh_name), *list(record.__dict__.values())[1:])
        sink.send(dead_letter(f"{fresh_name}-dead", record, Rejected(0, reason, "told so")))
    sink.send(Message(f"{fresh_name}-dead", None, b"no letter"))
    sink.flush(10)
    sink.close(1)
    path = tmp_path / "plumbline.yaml"
    path.write_text(
        f"kafka: {{bootstrap_servers: {kafka}}}\ndetectors: {{pumps: {{}}}}\n"
        f"outputs: {{dead_letters: {fresh_name}-dead}}\n"
    )
    return path


def records(kafka, topic):
    reader = TopicReader(Cluster(kafka), topic)
    try:
        return [record for some in reader for record in some]
    finally:
        reader.close()


def test_letters_are_listed_with_their_reasons(config, capsys, fresh_name):
    assert main(["dead-letters", "list", str(config)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()

    assert len(lines) == 5
    assert f'time: told so  {fresh_name}-readings[0]@10  pump-1  \'{{"ts": "yesterday"}}\'' in lines[0]
    assert "(cut off: value of 900001 bytes)" in lines[3]
    assert lines[4] == "4 dead letters: time 2, encoding 1, oversize 1"
    assert "1 record of" in err


def test_letters_are_chosen_and_told_as_json(config, capsys, fresh_name):
    asked = ["dead-letters", "list", str(config), "--reason", "time", "--topic", f"{fresh_name}-other", "--json"]
    assert main(asked) == 0
    (line,) = capsys.readouterr().out.splitlines()

    assert json.loads(line) | {"at": 0} == {
        "at": 0,
        "place": [f"{fresh_name}-dead", 0, 2],
        "reason": "time",
        "detail": "told so",
        "source": [f"{fresh_name}-other", 0],
        "offset": 12,
        "truncated": "",
        "key": "cHVtcC0y",
        "value": "eyJ0cyI6ICJ0b21vcnJvdyJ9",
        "headers": [],
    }
    assert main(["dead-letters", "list", str(config), "--limit", "1"]) == 0
    assert "1 dead letter: time 1" in capsys.readouterr().out
    assert main(["dead-letters", "list", str(config), "--since", "2999-01-01"]) == 0
    assert "0 dead letters" in capsys.readouterr().out


def test_letters_are_published_to_where_they_came_from_and_the_truncated_are_not(config, capsys, kafka, fresh_name):
    assert main(["dead-letters", "publish", str(config), "--all-of-them"]) == 0
    out, err = capsys.readouterr()
    back = records(kafka, f"{fresh_name}-readings")

    assert out.splitlines()[-1] == f"3 records published: {fresh_name}-readings 2, {fresh_name}-other 1"
    assert "1 letter left out" in err
    assert [(record.key, record.value) for record in back] == [
        (b"pump-1", b'{"ts": "yesterday"}'),
        (None, b"\xff\xfe"),
    ]
    assert list(back[0].headers) == [("trace", b"77"), (REPUBLISHED, f"{fresh_name}-dead/0/0".encode())]
    assert len(records(kafka, f"{fresh_name}-other")) == 1


def test_a_dry_run_sends_nothing(config, capsys, kafka, fresh_name):
    assert main(["dead-letters", "publish", str(config), "--reason", "encoding", "--dry-run"]) == 0
    assert "1 record would be published" in capsys.readouterr().out
    assert records(kafka, f"{fresh_name}-readings") == []


def test_nothing_is_published_that_was_not_chosen(config, capsys):
    assert main(["dead-letters", "publish", str(config)]) == 2
    assert "nothing is chosen" in capsys.readouterr().err


def test_a_topic_that_is_not_written_is_said(tmp_path, capsys):
    path = tmp_path / "plumbline.yaml"
    path.write_text("kafka: {bootstrap_servers: localhost:1}\ndetectors: {pumps: {}}\noutputs: {dead_letters: null}\n")

    assert main(["dead-letters", "list", str(path)]) == 2
    assert "outputs.dead_letters is null" in capsys.readouterr().err
