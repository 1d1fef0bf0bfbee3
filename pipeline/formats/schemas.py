"""What a decoder needs of a registry of schemas."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Schema(NamedTuple):
    """What a registry says of a number."""

    text: str | None  # the schema, as JSON; None: there is none that is of use
    why: str = ""  # there is none


class Schemas(Protocol):
    """Where schemas are kept."""

    def schema(self, number: int) -> Schema:
        """The schema of a number; RegistryError where nobody answers, or not as a registry does."""
