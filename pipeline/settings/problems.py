"""What is wrong with a configuration, in words: the path of the key, what is needed, what was found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_NEEDED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "list_type": "a list",
    "tuple_type": "a list",
}


def problems(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line for each thing that is wrong."""
    return [_line(detail, model) for detail in error.errors(include_url=False)]


def nearest(key: str, known: Iterable[str]) -> str:
    """What to write instead of `key`, as the end of a message."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(names[:12])}{', ...' * (len(names) > 12)}"


def found(value: object) -> str:
    """A value as a person would write it, short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _line(detail: ErrorDetails, model: type[BaseModel]) -> str:
    path = ".".join(str(part) for part in detail["loc"] if part != "[key]")  # that a key is meant, the words say
    return f"{path}: {_words(detail, model)}" if path else _words(detail, model)


def _words(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        *section, key = detail["loc"]
        if section and key in _keys(model, section[:-1]):
            return f"unknown; did you mean {'.'.join(map(str, [*section[:-1], key]))}?"
        return f"unknown; {nearest(str(key), _keys(model, section))}"
    if kind == "missing":
        return "missing, and needed here"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"{context['expected'].replace(chr(39), '')} is needed, found {found(value)}"
    if kind == "greater_than":
        return f"more than {context['gt']:g} is needed, found {found(value)}"
    if kind == "greater_than_equal":
        return f"at least {context['ge']:g} is needed, found {found(value)}"
    if kind == "too_short":
        return "empty; at least one is needed"
    if kind in _NEEDED:
        return f"{_NEEDED[kind]} is needed, found {found(value)}"
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, found {found(value)}"


def _keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys that are known in the section at `path`."""
    section: object = model
    for part in path:
        section = _inside(section, part)
    chosen = _model(section)
    return [] if chosen is None else [field.alias or name for name, field in chosen.model_fields.items()]


def _inside(annotation: object, part: str | int) -> object:
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    if get_origin(annotation) is list:
        return get_args(annotation)[0]
    model = _model(annotation)
    return None if model is None else model.model_fields[str(part)].annotation


def _model(annotation: object) -> type[BaseModel] | None:
    """The section's model, also where it may be left out (`Model | None`)."""
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None
