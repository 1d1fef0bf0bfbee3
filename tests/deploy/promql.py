"""The queries of the dashboard and the rules, and the names in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = re.compile(r"\b(?:plumbline|process|python)_[a-z0-9_]+\b")
SELECTOR = re.compile(r"\b((?:plumbline|process|python)_[a-z0-9_]+|up|ALERTS)\b(\{[^}]*\})?")
VARIABLE = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")


def board():
    """The committed dashboard."""
    return json.loads((DEPLOY / "grafana" / "plumbline.json").read_text(encoding="utf-8"))


def panels():
    """Its panels without the rows."""
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def variables():
    """Its choices among label values: (name, selector, label), in the order in which they depend on each other."""
    chosen = [one for one in board()["templating"]["list"] if one["type"] == "query"]
    matches = [(one["name"], VARIABLE.fullmatch(one["query"])) for one in chosen]
    return [(name, match["selector"], match["label"]) for name, match in matches]


def dashboard_queries():
    """Every query of a panel or an annotation, with where it stands."""
    of_panels = [
        (f"{panel['title']} {target['refId']}", target["expr"]) for panel in panels() for target in panel["targets"]
    ]
    return of_panels + [(one["name"], one["target"]["expr"]) for one in board()["annotations"]["list"]]


def rules():
    """Every alert of the rules."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def selectors(expression):
    """What an expression selects, without spans and offsets: `name{label="value"}`."""
    by_labels = re.compile(r"\b(?:by|on|group_left)\s*\([^)]*\)")
    return ["".join(match.groups("")) for match in SELECTOR.finditer(by_labels.sub("", expression))]
