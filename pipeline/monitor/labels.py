"""Labels of series, read from their names: site and line of `north/3/pump-7`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.records import Labels

_PIECES = re.compile(r"\{([^{}]*)\}|([*?])|([^{}*?]+)|(.)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # as Prometheus and Alertmanager take it


@dataclass(frozen=True, slots=True)
class LabelRule:
    """The labels of those series whose names fit a pattern.

    In `match`, {site} stands for the text up to the character that follows it, * for any text, ? for one character.
    """

    match: str
    fixed: Labels = ()  # beside those in braces

    def __post_init__(self) -> None:
        if any(found[4] for found in _PIECES.finditer(self.match)):
            raise ValueError(f"match is {self.match!r}: braces stand around a label, as in {{site}}/*")
        names = self.names()
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no name of a label: letters, digits and _ are needed, and no digit first"
                )
            if names.count(name) > 1:
                raise ValueError(f"match is {self.match!r}: the label {name} is given twice")
        if not names:
            raise ValueError(
                f"match is {self.match!r}, and no label: put one in braces, as in {{site}}/*, or beside it, site: north"
            )
        self.pattern()

    def names(self) -> list[str]:
        """The labels that a series is given."""
        return [found[1] for found in _PIECES.finditer(self.match) if found[1] is not None] + [
            name for name, _ in self.fixed
        ]

    def pattern(self) -> re.Pattern[str]:
        """What the whole name of a series must fit."""
        return re.compile("".join(self._expressions()), re.DOTALL)

    def _expressions(self) -> Iterator[str]:
        pieces = list(_PIECES.finditer(self.match))
        for piece, follower in zip(pieces, [*pieces[1:], None], strict=True):
            label, any_text, text, _ = piece.groups()
            if label is None:
                yield re.escape(text) if text else ".*" if any_text == "*" else "."
            elif follower is None:
                yield f"(?P<{label}>.+)"
            elif follower[3]:
                yield f"(?P<{label}>[^{re.escape(follower[3][0])}]+)"
            else:
                raise ValueError(
                    f"match is {self.match!r}: {follower[0]} follows {{{label}}} at once: a character is needed "
                    "between them, for there the label ends"
                )


class Labelling:
    """What is known of series by their names: of several rules the first that fits counts."""

    def __init__(self, rules: Sequence[LabelRule]) -> None:
        self._rules = [(rule.pattern(), rule.fixed) for rule in rules]

    def of(self, series: str) -> Labels:
        """The labels of a series; none where no rule fits."""
        for pattern, fixed in self._rules:
            found = pattern.fullmatch(series)
            if found is not None:
                return (*found.groupdict().items(), *fixed)
        return ()
