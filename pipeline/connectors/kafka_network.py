"""kafka-python's connections, made to hear a broker's last words, and to end a start that was refused.

Two habits of kafka-python 3.0 are mended here, at private names of it: the version is pinned, and a test against a
broker that refuses a login fails should they move. Bytes that arrive together with the end of a connection are thrown
away, which in TLS is the answer to a wrong password. And a start that was refused for good goes on until its time is
over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kafka.errors import SaslAuthenticationFailedError, UnsupportedSaslMechanismError
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

FINAL: Final = (  # what TLS says that no further attempt can change
    "CERTIFICATE_VERIFY_FAILED",
    "CERTIFICATE_REQUIRED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "BAD_CERTIFICATE",
    "UNKNOWN_CA",
    "WRONG_VERSION_NUMBER",
)


class Network(KafkaNetClient):  # type: ignore[misc]  # kafka-python has no types
    """To be given to a client of kafka-python as `kafka_client`.

    Its start raises what the brokers said as soon as each of them has refused us for good.
    """

    def __init__(self, **configs: object) -> None:
        net = NetworkSelector(**configs)
        super().__init__(net, _Manager(net, **configs))


class _Manager(KafkaConnectionManager):  # type: ignore[misc]  # as above
    def __init__(self, net: object, **configs: object) -> None:
        super().__init__(net, **configs)
        self._refused: dict[object, BaseException] = {}

    async def _build_transport(self, node: object, timeout_at: float | None = None) -> Any:
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        transport._sock_recv = partial(_data_first, transport._sock_recv)
        return transport

    def get_connection(self, node_id: object, *arguments: Any, **options: Any) -> Any:
        """The connection to a node; while we start, what was said where all have refused us."""
        if not self.bootstrapped:
            servers = {broker.node_id for broker in self.cluster.bootstrap_brokers()}
            if node_id in servers and servers <= self._refused.keys():
                raise self._refused[node_id]
        known = self._conns.get(node_id)
        connection = super().get_connection(node_id, *arguments, **options)
        if connection is not known:
            connection.init_future.add_errback(partial(self._failed, node_id))
        return connection

    def _failed(self, node_id: object, error: BaseException) -> None:
        if is_final(error):
            self._refused[node_id] = error


def is_final(error: BaseException) -> bool:
    """Whether a broker has refused us for a reason that stays."""
    refused = isinstance(error, SaslAuthenticationFailedError | UnsupportedSaslMechanismError)
    return refused or any(sign in str(error) for sign in FINAL)


def _data_first(receive: Callable[[], tuple[bytes, BaseException | None]]) -> tuple[bytes, BaseException | None]:
    """What was received before the connection ended; its end is seen again at the next read."""
    data, error = receive()
    return (data, None) if data else (data, error)
