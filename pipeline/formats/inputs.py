"""The decoder and the encoder of a mapping's format."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.formats.decoder import RecordDecoder
from pipeline.formats.encoder import RecordEncoder
from pipeline.formats.json import JsonDecoder, JsonEncoder
from pipeline.formats.line_protocol import LineDecoder, LineEncoder
from pipeline.formats.mapping import InputMapping
from pipeline.formats.schemas import Schemas


def decoder_of(mapping: InputMapping, channels: Sequence[str], schemas: Schemas | None = None) -> RecordDecoder:
    """What reads the records of an input; Avro needs to know where its schemas are kept.

    ValueError where they cannot have these channels.
    """
    if mapping.format == "line_protocol":
        return LineDecoder(mapping, channels)
    if mapping.format == "json":
        return JsonDecoder(mapping, channels)
    if schemas is None:
        raise ValueError("format is avro, and nothing says where its schemas are kept")
    from pipeline.formats.avro import AvroDecoder  # here: fastavro is there only where it is asked for

    return AvroDecoder(mapping, channels, schemas)


def encoder_of(mapping: InputMapping, channels: Sequence[str]) -> RecordEncoder:
    """What writes them; ValueError where they cannot have these channels, or are not written by this program."""
    if mapping.format == "avro":
        raise ValueError("format is avro, which is read and not written: its schema belongs to whoever sends it")
    return LineEncoder(mapping, channels) if mapping.format == "line_protocol" else JsonEncoder(mapping, channels)
