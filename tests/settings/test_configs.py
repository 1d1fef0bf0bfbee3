from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import parse_settings, settings_schema
from pipeline.settings.strict_yaml import parse

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
PYTHON_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int}


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a value satisfies a JSON Schema, of those words that ours uses."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return any(fits(value, each, root) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    if not is_a(value, schema.get("type", "")):
        return False
    if isinstance(value, list):
        return all(fits(each, schema["items"], root) for each in value)
    if not isinstance(value, dict):
        return schema.get("minimum", value) <= value if is_a(value, "number") else True
    known, others = schema.get("properties", {}), schema.get("additionalProperties", False)
    if not set(schema.get("required", [])) <= set(value):
        return False
    return all(
        fits(each, known[key], root) if key in known else bool(others) and fits(each, others, root)
        for key, each in value.items()
    )


def is_a(value: Any, kind: str) -> bool:
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, PYTHON_TYPES[kind]) and not (kind == "integer" and isinstance(value, bool))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_that_we_show_loads(path):
    text = path.read_text(encoding="utf-8")

    assert text.startswith("# ")
    assert parse_settings(text, path).detectors


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_schema_accepts_every_configuration_that_we_show(path):
    schema = settings_schema()

    assert fits(parse(path.read_text(encoding="utf-8"), path.name), schema, schema)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"detectors": {"a": {"policy": {"clear_afer": 3}}}},
        {"detectors": {"a": {"fit": {"steps": "many"}}}},
        {"detectors": {"a": {"policy": {"bar": "fixed"}}}},
        {"detectors": {"a": {"input": {}}}},
        {"detectors": {"a": {}}, "telemetry": {"series": {"max": -1}}},
    ],
)
def test_the_schema_refuses_what_the_program_refuses(raw):
    schema = settings_schema()

    assert not fits(raw, schema, schema)


def test_the_defaults_of_the_configuration_for_training_are_those_of_the_program():
    path = Path(__file__).parents[2] / "configs" / "train.yaml"
    written = parse(path.read_text(encoding="utf-8"), path.name)["detectors"]["pumps"]["fit"]
    known = settings_schema()["$defs"]["FitSection"]["properties"]

    assert written == {key: words["default"] for key, words in known.items()}
