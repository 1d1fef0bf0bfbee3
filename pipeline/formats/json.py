"""Records of JSON to readings, and back.

Numbers are read as the nearest float64 and written so that they read back equal; null is a missing value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from pipeline.formats.decoder import RecordDecoder
from pipeline.formats.documents import Document, NoReadingError, NotFinite, shown
from pipeline.formats.encoder import RecordEncoder
from pipeline.formats.mapping import InputMapping
from pipeline.records import Reason


class JsonDecoder(RecordDecoder):
    """Records of one JSON object each."""

    def __init__(self, mapping: InputMapping, channels: Sequence[str]) -> None:
        super().__init__(mapping, channels)
        self._json = msgspec.json.Decoder()

    def parse(self, value: bytes) -> list[Document]:
        """The object."""
        try:
            document = self._json.decode(value)
        except (ValueError, RecursionError):
            document = _slowly(value)
        if type(document) is not dict:
            raise NoReadingError(Reason.TYPE, f"{shown(document)} instead of an object")
        return [document]


def _slowly(value: bytes) -> Any:
    """What the fast parser refused, with the literals that JSON does not have as NotFinite; else the reason."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise NoReadingError(Reason.ENCODING, f"not UTF-8: {error}") from error
    try:
        return json.loads(text, parse_constant=NotFinite, parse_float=_float)
    except RecursionError as error:
        raise NoReadingError(Reason.SYNTAX, "nested too deeply") from error
    except ValueError as error:
        raise NoReadingError(Reason.SYNTAX, str(error)) from error


def _float(text: str) -> float | NotFinite:
    number = float(text)
    return number if math.isfinite(number) else NotFinite(text)


class JsonEncoder(RecordEncoder):
    """Readings to one JSON object each."""

    def __init__(self, mapping: InputMapping, channels: Sequence[str]) -> None:
        super().__init__(mapping, channels)
        self._json = msgspec.json.Encoder()

    def write(self, document: Document) -> bytes:
        """The object, null for NaN."""
        return self._json.encode(document)
