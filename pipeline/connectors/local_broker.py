"""A real Apache Kafka for the demo, the tests and `make kafka`: its own ports and data, ended for certain.

The jars come once from Maven Central into a cache. The broker runs under a shell that reads a pipe held by this
process: however this process ends, the pipe closes, and the shell kills the broker and removes what it wrote.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.exceptions import BrokerError

VERSION: Final = "4.4.0"
JAVA: Final = 17  # the oldest that this Kafka runs on
POM: Final = Path(__file__).with_name("kafka-pom.xml")
CLUSTER_ID: Final = "cGx1bWJsaW5lLWxvY2FsLQ"  # any 16 bytes in base64
JVM: Final = (
    *("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    "-Dlog4j2.disable.jmx=true",
)
STARTED: Final = b"Kafka Server started"
SHELL: Final = '{ "$@"; kill -9 0; } & cat > /dev/null; kill -9 $!; test -z "$REMOVE" || rm -rf -- "$REMOVE"; kill -9 0'
LOGGING: Final = """\
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %m (%c)%n
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
logger.config.name = org.apache.kafka.common.config
logger.config.level = WARN
"""


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where the jars are kept: PLUMBLINE_CACHE, else plumbline below the user's cache folder."""
    if chosen := environ.get("PLUMBLINE_CACHE"):
        return Path(chosen)
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plumbline"


def why_unavailable(cache: Path) -> str | None:
    """What is missing on this machine to start a broker; None when nothing is."""
    java = shutil.which("java")
    if java is None:
        return f"no java on the path: install Java {JAVA} or newer"
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    if found is None or int(found[1]) < JAVA:
        first = (answer.stderr or answer.stdout).partition("\n")[0]
        return f"java is too old or does not run ({first!r}): install Java {JAVA} or newer"
    if not fetched(cache) and shutil.which("mvn") is None:
        return "no mvn on the path: install Maven, it fetches the broker once"
    return None


def fetched(cache: Path) -> bool:
    """Whether the jars are in the cache."""
    return _complete(_jars(cache))


def fetch(cache: Path) -> Path:
    """The folder with the broker's jars, fetched by Maven when they are not there; safe among several processes."""
    jars = _jars(cache)
    if _complete(jars):
        return jars
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{jars.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _complete(jars):  # another process may have fetched them meanwhile
            new = Path(tempfile.mkdtemp(dir=cache, prefix=f"{jars.name}-"))
            try:
                _copy_dependencies(new)
                shutil.rmtree(jars, ignore_errors=True)  # of an older POM
                new.rename(jars)
            finally:
                shutil.rmtree(new, ignore_errors=True)
    return jars


def _jars(cache: Path) -> Path:
    return cache / f"kafka-{VERSION}"


def _complete(jars: Path) -> bool:
    """The POM is put beside the jars last, so its presence says that all of them are there."""
    copy = jars / POM.name
    return copy.is_file() and copy.read_bytes() == POM.read_bytes()


def _copy_dependencies(folder: Path) -> None:
    """Have Maven copy the POM's dependencies into a folder, then the POM itself."""
    command = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", "--file", str(POM)]
    command += ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokerError(f"Maven could not fetch Apache Kafka {VERSION}: {error}") from error
    if answer.returncode:
        tail = "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-10:])
        raise BrokerError(f"Maven could not fetch Apache Kafka {VERSION}; it said:\n{tail}")
    shutil.copy(POM, folder / POM.name)


class LocalBroker:
    """One Kafka node on this machine, a context manager; `kill` and `restart` keep its ports and data.

    `settings` are the broker's own. Beside its plain listener it has `listeners`, by name with their protocol; `users`
    are made with it, as Kafka's StorageTool takes them. A further broker of a cluster has a `node` number of its own
    and joins the `first`, which stays the only controller.
    """

    def __init__(
        self,
        cache: Path,
        settings: Mapping[str, str] | None = None,
        start_seconds: float = 60.0,
        listeners: Mapping[str, str] | None = None,
        users: Sequence[str] = (),
        node: int = 1,
        first: LocalBroker | None = None,
    ) -> None:
        self._cache = cache
        self._settings = dict(settings or {})
        self._start_seconds = start_seconds
        self._listeners = dict(listeners or {})
        self._users = tuple(users)
        self._node = node
        self._first = first
        self._folder: Path | None = None
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """Host and port for clients; the port is chosen at start."""
        return f"127.0.0.1:{self._ports['PLAINTEXT']}"

    def address(self, listener: str) -> str:
        """Host and port of a further listener."""
        return f"localhost:{self._ports[listener]}"

    @property
    def log(self) -> Path:
        """The broker's log, there while the broker is."""
        return self._home() / "broker.log"

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> bool:
        """Create a topic and wait until it can be used; False when it is there already."""
        return create_topic(Cluster(self.bootstrap_servers), name, partitions, config)

    def start(self) -> None:
        """Fetch the jars if need be, choose ports and a data folder, and wait until the broker answers."""
        if self._folder is not None:
            raise ValueError("this broker is started already; `restart` is for one that was killed")
        jars = fetch(self._cache)
        self._folder = Path(tempfile.mkdtemp(prefix="plumbline-kafka-"))
        try:
            with contextlib.ExitStack() as held:
                own = ("PLAINTEXT", "CONTROLLER") if self._first is None else ("PLAINTEXT",)
                names = (*own, *self._listeners)
                self._ports = {name: held.enter_context(free_port()) for name in names}
            self._write_settings()
            self._format(jars)
            self._launch(jars)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End the broker at once, as a power cut would; ports and data are kept for `restart`."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None

    def restart(self) -> None:
        """Start again after `kill`, on the same ports and data; up to 15 s, for the node must outlive its old self."""
        self.kill()
        self._launch(fetch(self._cache))

    def stop(self) -> None:
        """End the broker and remove what it wrote."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def running(self) -> bool:
        """Whether the broker was started and has not ended since."""
        return self._process is not None and self._process.poll() is None

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the broker logged."""
        written = self._output().decode(errors="replace").strip().splitlines()
        return "\n".join(written[-lines:])

    def _home(self) -> Path:
        if self._folder is None:
            raise ValueError("this broker is not started")
        return self._folder

    def _output(self) -> bytes:
        home = self._home()
        return b"".join(path.read_bytes() for path in (home / "console.log", self.log) if path.is_file())

    def _write_settings(self) -> None:
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **self._listeners}
        places = {name: f"{name}://127.0.0.1:{port}" for name, port in self._ports.items()}
        public = {name: f"{name}://{self.address(name)}" for name in self._listeners}
        settings = {
            "process.roles": "broker,controller" if self._first is None else "broker",
            "node.id": str(self._node),
            "controller.quorum.voters": (self._first or self)._voter(),
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(places.values()),
            "advertised.listeners": ",".join((places["PLAINTEXT"], *public.values())),
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
            "log.dirs": str(self._home() / "data"),
            "auto.create.topics.enable": "false",  # a mistyped topic is an error here, as on any well-kept cluster
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "broker.session.timeout.ms": "2000",  # so that a killed node may register again 4 s earlier
            "broker.heartbeat.interval.ms": "500",
            **self._settings,
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self._home() / "server.properties").write_text(text)
        (self._home() / "log4j2.properties").write_text(LOGGING.format(log=self.log))

    def _voter(self) -> str:
        return f"{self._node}@127.0.0.1:{self._ports['CONTROLLER']}"

    def _java(self, jars: Path, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self._home() / 'log4j2.properties'}"
        return ["java", *JVM, logging, "-cp", f"{jars}/*", *arguments]

    def _format(self, jars: Path) -> None:
        settings = str(self._home() / "server.properties")
        users = [word for user in self._users for word in ("-S", user)]
        command = self._java(jars, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", settings, *users)
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise BrokerError(f"Kafka could not prepare its data folder:\n{answer.stderr or answer.stdout}")

    def _launch(self, jars: Path) -> None:
        """Start the broker under its watching shell and wait until its log says that it serves."""
        home = self._home()
        before = self.log.stat().st_size if self.log.is_file() else 0
        with (home / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", SHELL, "sh", *self._java(jars, "kafka.Kafka", str(home / "server.properties"))],
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # one group for shell and broker, out of reach of a Ctrl-C meant for us
                env={**os.environ, "REMOVE": str(home)},
            )
        deadline = time.monotonic() + self._start_seconds
        while STARTED not in self._logged_since(before):
            if self._process.poll() is not None or time.monotonic() > deadline:
                state = "did not start" if self._process.poll() is not None else f"took over {self._start_seconds:g} s"
                raise BrokerError(f"Kafka {state}; the end of its log:\n{self.log_tail()}")
            time.sleep(0.05)

    def _logged_since(self, position: int) -> bytes:
        if not self.log.is_file():
            return b""
        with self.log.open("rb") as log:
            log.seek(position)
            return log.read()


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """A free port below the range for outgoing connections, held until the block ends.

    From within that range a client that retries while the broker is down could take the broker's port for itself.
    """
    first = 20_000 + os.getpid() * 16 % 12_000
    for number in (*range(first, 32_000), *range(20_000, first)):
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", number))
            except OSError:
                continue
            yield number
            return
    raise BrokerError("no free port between 20000 and 32000 on this machine")
