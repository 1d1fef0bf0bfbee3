"""The decoder and the encoder of a mapping's format."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.formats.decoder import RecordDecoder
from pipeline.formats.encoder import RecordEncoder
from pipeline.formats.json import JsonDecoder, JsonEncoder
from pipeline.formats.line_protocol import LineDecoder, LineEncoder
from pipeline.formats.mapping import InputMapping


def decoder_of(mapping: InputMapping, channels: Sequence[str]) -> RecordDecoder:
    """What reads the records of an input; ValueError where they cannot have these channels."""
    return LineDecoder(mapping, channels) if mapping.format == "line_protocol" else JsonDecoder(mapping, channels)


def encoder_of(mapping: InputMapping, channels: Sequence[str]) -> RecordEncoder:
    """What writes them; ValueError where they cannot have these channels."""
    return LineEncoder(mapping, channels) if mapping.format == "line_protocol" else JsonEncoder(mapping, channels)
