"""YAML text to plain objects, by the rules that people expect of it.

YAML 1.1, which the library follows, reads `on` as true, `12:30` as 750, `010` as 8, a date as an object and `1e-4` as
text. Here words are words, `1e-4` is a number, a key is text, and a key that stands twice is refused.
"""

from __future__ import annotations

import re
from collections.abc import Hashable

import yaml

from pipeline.exceptions import SettingsError

_WHOLE = re.compile(r"[-+]?[0-9]+$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")


class _Loader(yaml.SafeLoader):
    """The safe loader with the plain scalars of YAML 1.2 and unique keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        first: dict[str, yaml.Mark] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key.start_mark)
            if key.value in first:
                where = f"{key.value} stands twice, first on line {first[key.value].line + 1}"
                raise yaml.MarkedYAMLError(problem=where, problem_mark=key.start_mark)
            first[key.value] = key.start_mark
            if key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"  # a channel may be called 1 or true
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        try:
            return int(node.value) if node.tag.endswith("int") else float(node.value)
        except ValueError as error:
            raise yaml.MarkedYAMLError(problem=f"{node.value} is no number", problem_mark=node.start_mark) from error


_Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1; below, what is whole is asked for before what is a number
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|Null|NULL|)$"), [*"~nN", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$"), [*"tTfF"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _WHOLE, [*"-+0123456789"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, [*"-+.0123456789"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<$"), ["<"])
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)


def parse(text: str, name: str) -> object:
    """The plain object that the text describes: mappings, lists, text, numbers, true, false and None.

    `name` is the file's, for messages. Raises SettingsError with line and column, both counted from one.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - derived from the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark is not None else ""
        raise SettingsError(f"{name}:{where} {error.problem or error.context}") from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise SettingsError(f"{name}: {' '.join(str(error).split())}") from error
