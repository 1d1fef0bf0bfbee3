"""What can go wrong, as a tree.

PlumblineError
├── SettingsError   a setting is unknown, missing or impossible; nothing was started
├── DataError       a file or frame cannot be used: empty, other channels, text in a number column
├── BundleError     a detector on disk is truncated, altered, of another format or hostile
├── StateError      saved state cannot be used or written
├── LogChangedError a topic is not the log that it was: the operator has to say how to go on
├── RegistryError   the schema registry is away or refuses us: records that need it have to wait
├── PoisonedError   most of what arrives is no reading: the settings or the sender are at fault
└── BrokerError     Kafka is unreachable, refuses us, or did not store what was sent
    ├── OwnershipLostError    the group gave our partitions to others: drop what is in hand, go on polling
    ├── OffsetLostError       the records at an offset are gone, or not those that they were: seek elsewhere or stop
    ├── StalledError          the group has not settled for too long: close the source and make a new one
    ├── UnacknowledgedError   not stored yet, still on its way: go on polling, flush again
    └── TooLargeError         one message is above the limit; the others are not concerned

Constructors raise ValueError; connectors translate foreign errors with `raise ... from`. A message says what was asked,
what was found and what to do. A bad record is no exception: it is a counted outcome (`records.Outcome`).
"""

from collections.abc import Mapping


class PlumblineError(Exception):
    """Any failure that the command line reports in one line and ends with."""


class SettingsError(PlumblineError):
    """A setting is unknown, missing or impossible."""


class DataError(PlumblineError):
    """A file or frame cannot be used."""


class BundleError(PlumblineError):
    """A bundle cannot be read or trusted."""


class StateError(PlumblineError):
    """Saved state cannot be used or written."""


class LogChangedError(PlumblineError):
    """A topic is not the log that it was, and the operator has to say how to go on."""


class PoisonedError(PlumblineError):
    """Most of what arrives is no reading: the settings or the sender are at fault, and not the data."""


class RegistryError(PlumblineError):
    """The registry of schemas does not answer, or not as one: what needs a schema that is not known yet has to wait.

    `partitions` are the numbers of those whose records do; empty where it is about none.
    """

    def __init__(self, message: str, partitions: frozenset[int] = frozenset()) -> None:
        super().__init__(message)
        self.partitions = partitions


class BrokerError(PlumblineError):
    """Kafka is unreachable, refuses us, or did not store what was sent."""


class OwnershipLostError(BrokerError):
    """The group has given our partitions to others; what is in hand for them must be dropped."""


class OffsetLostError(BrokerError):
    """The records at an offset are gone, or are not those that they were.

    `partitions` maps (topic, number) to the offset asked for, None where there was none; `cut` those whose log was cut
    off to where it was, as far as that is known.
    """

    def __init__(
        self,
        message: str,
        partitions: Mapping[tuple[str, int], int | None],
        cut: Mapping[tuple[str, int], int] | None = None,
    ) -> None:
        super().__init__(message)
        self.partitions = partitions
        self.cut = dict(cut or {})


class AbandonedError(BrokerError):
    """What was put out since the last commit is undone, or nobody knows: begin again from what was committed."""


class StalledError(BrokerError):
    """The group has not settled for too long; a new source joins it anew."""


class UnacknowledgedError(BrokerError):
    """Messages are on their way and not acknowledged in time; nothing is lost, flush again."""


class TooLargeError(BrokerError):
    """One message is above the size limit and was not taken."""


class UndeliveredError(PlumblineError):
    """Whoever is to be told of an alert did not take it: try again, in `after` seconds at the earliest."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class RefusedError(PlumblineError):
    """Whoever is to be told of an alert will never take it."""
