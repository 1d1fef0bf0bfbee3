"""`plumbline schema`."""

from __future__ import annotations

import json

from pipeline.cli.console import say
from pipeline.settings import settings_schema


def schema() -> None:
    """Print the JSON Schema of a configuration, for editors.

    An editor that knows it completes the keys and marks mistakes while you type. For the YAML server of many editors
    the first line of a configuration names it: # yaml-language-server: $schema=plumbline.schema.json
    """
    say(json.dumps(settings_schema(), indent=2, ensure_ascii=False))
