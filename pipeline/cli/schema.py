"""`plumbline schema`."""

from __future__ import annotations

import json

from pipeline.cli.console import say
from pipeline.formats.alert_document import schema as alert_schema
from pipeline.settings import settings_schema


def schema(*, alert: bool = False) -> None:
    """Print the JSON Schema of a configuration, for editors, or of an alert, for its readers.

    An editor that knows it completes the keys and marks mistakes while you type. For the YAML server of many editors
    the first line of a configuration names it: # yaml-language-server: $schema=plumbline.schema.json

    Parameters
    ----------
    alert
        The schema of an alert as it stands in its topic.
    """
    say(json.dumps(alert_schema() if alert else settings_schema(), indent=2, ensure_ascii=False))
