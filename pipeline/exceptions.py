"""What can go wrong, as a tree.

PlumblineError
├── SettingsError   a setting is unknown, missing or impossible; nothing was started
├── DataError       a file or frame cannot be used: empty, other channels, text in a number column
├── BundleError     a detector on disk is truncated, altered, of another format or hostile
├── StateError      saved state cannot be used or written
└── BrokerError     Kafka is unreachable, refuses us, or did not store what was sent

Constructors raise ValueError; connectors translate foreign errors with `raise ... from`. A message says what was asked,
what was found and what to do. A bad record is no exception: it is a counted outcome (`records.Outcome`).
"""


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


class BrokerError(PlumblineError):
    """Kafka is unreachable, refuses us, or did not store what was sent."""
