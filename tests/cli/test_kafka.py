"""The broker in the foreground."""

import os
import signal
import subprocess
import sys

import pytest

from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.local_broker import cache_folder, why_unavailable

COMMAND = [
    sys.executable,
    "-c",
    "import sys; from pipeline.cli.main import main; sys.exit(main(sys.argv[1:]))",
    "kafka",
]


@pytest.mark.kafka
def test_a_broker_in_the_foreground_says_where_it_is_and_ends_when_asked(tmp_path):
    if reason := why_unavailable(cache_folder(os.environ)):
        pytest.skip(f"no Kafka of our own: {reason}")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*COMMAND, "--topic", "readings"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        servers = process.stdout.readline().split("answers at ")[1].split(";")[0]
        is_new = create_topic(Cluster(servers), "readings")
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)

    assert not is_new
    assert code == 0
    assert list(tmp_path.iterdir()) == []
