"""What all sections of a configuration share: strict types, no unknown keys, and a few values of more than one form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainValidator, StrictStr, create_model, model_validator

from pipeline.settings.problems import found


class Section(BaseModel):
    """A part of a configuration; written and left empty it is all defaults."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, value: object) -> object:
        return {} if value is None else value


def is_number(value: object) -> bool:
    """Whether a value of YAML is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def word(value: object) -> str:
    """A value that is meant as text, though YAML may take it for a number."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"text or a whole number is needed, found {found(value)}")


def _named(value: str) -> str:
    if not value.strip():
        raise ValueError(f"a name is needed, found {found(value)}")
    return value


def _size(value: object) -> float | str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)? ?%", value):
        return value
    raise ValueError(f'a number in the channel\'s unit or a share such as "5 %" is needed, found {found(value)}')


def _interval(value: object) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2 and all(is_number(end) for end in value):
        return float(value[0]), float(value[1])
    raise ValueError(f"two numbers are needed, such as [0, 120], found {found(value)}")


def _address(value: object) -> tuple[str, int]:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not (host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"host:port is needed, such as 127.0.0.1:9464, found {found(value)}")
    return host, int(port)


def _names(value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    if names and all(isinstance(name, str) and name.strip() for name in names):
        return tuple(names)
    raise ValueError(f"a name or a list of names is needed, found {found(value)}")


def _words(value: object) -> tuple[str, ...]:
    words = tuple(word(one) for one in (value if isinstance(value, list) else [value]))
    if not words:
        raise ValueError("a value or a list of values is needed, found an empty list")
    return words


Words = Annotated[tuple[str, ...], PlainValidator(_words, json_schema_input_type=str | int | list[str | int])]
Names = Annotated[tuple[str, ...], PlainValidator(_names, json_schema_input_type=str | list[str])]
Size = Annotated[float | str, PlainValidator(_size, json_schema_input_type=float | str)]
Interval = Annotated[tuple[float, float], PlainValidator(_interval, json_schema_input_type=list[float])]
Address = Annotated[tuple[str, int], PlainValidator(_address, json_schema_input_type=str)]
Name = Annotated[StrictStr, AfterValidator(_named)]


def section(name: str, base: type[Section], keys: Mapping[str, tuple[Any, Any]]) -> type[Section]:
    """A section whose keys stand elsewhere already: each with its type and its default."""
    made: type[Section] = create_model(name, __base__=base, __doc__=base.__doc__, **dict(keys))  # type: ignore[call-overload]
    return made
