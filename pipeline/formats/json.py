"""Records of JSON to readings.

Numbers are read as the nearest float64; null is a missing value. The way back is json_encoder.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from pipeline.formats.decoder import RecordDecoder
from pipeline.formats.documents import Document, NotFinite, RefusedError, shown
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
            raise RefusedError(Reason.TYPE, f"{shown(document)} instead of an object")
        return [document]


def _slowly(value: bytes) -> Any:
    """What the fast parser refused, with the literals that JSON does not have as NotFinite; else the reason."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(Reason.ENCODING, f"not UTF-8: {error}") from error
    try:
        return json.loads(text, parse_constant=NotFinite, parse_float=_float)
    except RecursionError as error:
        raise RefusedError(Reason.SYNTAX, "nested too deeply") from error
    except ValueError as error:
        raise RefusedError(Reason.SYNTAX, str(error)) from error


def _float(text: str) -> float | NotFinite:
    number = float(text)
    return number if math.isfinite(number) else NotFinite(text)
