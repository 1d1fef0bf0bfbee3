"""Records of InfluxDB's line protocol to readings, and back. A record may hold several lines: each is one reading.

A line is a document of the form that Telegraf's JSON has too: {"name": measurement, "tags": {...}, "fields": {...},
"timestamp": 1772374500}. In what its time is counted a line does not say; the settings do. A line that is none takes
nothing from those beside it. Syntax: docs.influxdata.com, "Line protocol".
"""

from __future__ import annotations

import math
import re
from typing import Any

from pipeline.formats.decoder import RecordDecoder
from pipeline.formats.documents import Document, NoReadingError, NotFinite
from pipeline.formats.encoder import RecordEncoder
from pipeline.records import Reason

# Possessive throughout: nothing is tried a second way, so a hostile line costs no more than its length.
_MEASUREMENT = re.compile(r"(?:\\[, ]|[^, \n])++")
_KEY = re.compile(r"(?:\\[,= ]|[^,= \n])++")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_PLAIN = re.compile(r"[^, \n\r]++")
_BLANKS = re.compile(r" ++")
_TIME = re.compile(r"-?[0-9]{1,19}+")
_END = re.compile(r" *+\r?(?:\n|\Z)")
_PASSED_OVER = re.compile(r"(?:[ \t\r]*+(?:#[^\n]*+)?\n)*+[ \t\r]*+(?:#[^\n]*+\Z)?")  # blank lines and comments

_FLOAT = re.compile(r"[-+]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?")
_WHOLE = re.compile(r"(-?[0-9]{1,20})([iu])")
_TRUTH = {word: word[0] in "tT" for word in ("t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE")}
_NO_NUMBERS = {"nan", "inf", "infinity"}


class LineDecoder(RecordDecoder):
    """Records of lines, one after the other."""

    def parse(self, value: bytes) -> list[Document | NoReadingError]:
        """A document for each line; for one that is none, the reason."""
        try:
            text = value.decode()
        except UnicodeDecodeError as error:
            raise NoReadingError(Reason.ENCODING, f"not UTF-8: {error}") from error
        found: list[Document | NoReadingError] = []
        scanner = _Scanner(text)
        while scanner.next_line():
            try:
                found.append(scanner.line())
            except NoReadingError as refused:
                found.append(refused)
                scanner.skip_line()
        if not found:
            raise NoReadingError(Reason.SYNTAX, "there is no line")
        return found


class _Scanner:
    """Walks over the lines of a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._number = 0  # of the line, from one, comments and blank ones left out

    def next_line(self) -> bool:
        """Pass over what is no line; whether there is another one."""
        found = _PASSED_OVER.match(self._text, self._at)
        self._at = self._at if found is None else found.end()
        self._number += 1
        return self._at < len(self._text)

    def skip_line(self) -> None:
        """Go on behind the end of the line, wherever it broke."""
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end + 1

    def line(self) -> Document:
        """The line that begins here; NoReadingError where it is none."""
        document: Document = {"name": _plain(self._take(_MEASUREMENT, "a measurement")), "tags": {}, "fields": {}}
        while self._comes(","):
            key, value = self._key("a tag"), _plain(self._take(_KEY, "the value of a tag"))
            self._put(document["tags"], "tag", key, value)
        self._take(_BLANKS, "a space and fields")
        self._put(document["fields"], "field", self._key("a field"), self._value())
        while self._comes(","):
            self._put(document["fields"], "field", self._key("a field"), self._value())
        if not _END.match(self._text, self._at):
            self._take(_BLANKS, "a comma, a space or the end of the line")
            document["timestamp"] = int(self._take(_TIME, "a time, a whole number,"))
        self._take(_END, "the end of the line")
        return document

    def _comes(self, sign: str) -> bool:
        """Whether this comes next; then it is taken."""
        if self._text.startswith(sign, self._at):
            self._at += 1
            return True
        return False

    def _take(self, pattern: re.Pattern[str], what: str) -> str:
        """The text here that fits; NoReadingError where none does."""
        found = pattern.match(self._text, self._at)
        if found is None:
            raise self._refused(f"{what} is needed")
        self._at = found.end()
        return found[0]

    def _key(self, of: str) -> str:
        key = _plain(self._take(_KEY, f"the name of {of}"))
        if not self._comes("="):
            raise self._refused(f"= is needed behind the name of {of}, {key[:40]!r}")
        return key

    def _value(self) -> Any:
        """The value of a field: text, truth, a whole number or a float."""
        if self._text.startswith('"', self._at):
            text = self._take(_TEXT, "the quote that ends a text")[1:-1]
            return re.sub(r'\\(["\\])', r"\1", text) if "\\" in text else text
        return self._number_or_truth(self._take(_PLAIN, "the value of a field"))

    def _number_or_truth(self, text: str) -> Any:
        if _FLOAT.fullmatch(text):
            number = float(text)
            return number if math.isfinite(number) else NotFinite(text)
        if text in _TRUTH:
            return _TRUTH[text]
        if whole := _WHOLE.fullmatch(text):
            number = int(whole[1])
            first, end = (-(2**63), 2**63) if whole[2] == "i" else (0, 2**64)
            if first <= number < end:
                return number
            raise self._refused(f"{text} is beyond 64 bits")
        if text.lstrip("+-").lower() in _NO_NUMBERS:
            return NotFinite(text)
        raise self._refused(f"{text[:40]!r} is no value of a field: text stands in quotes, a whole number ends with i")

    def _put(self, values: dict[str, Any], what: str, key: str, value: Any) -> None:
        if key in values:
            raise self._refused(f"{what} {key[:40]!r} occurs twice")
        values[key] = value

    def _refused(self, why: str) -> NoReadingError:
        rest, _, _ = self._text[self._at : self._at + 20].partition("\n")
        where = f"line {self._number}, at {rest!r}" if rest else f"line {self._number}, at its end"
        return NoReadingError(Reason.SYNTAX, f"{where}: {why}")


def _plain(name: str) -> str:
    """A name without the backslashes before commas, equals signs and spaces."""
    return re.sub(r"\\([,= ])", r"\1", name) if "\\" in name else name


class LineEncoder(RecordEncoder):
    """Readings to lines, one a record."""

    def write(self, document: Document) -> bytes | None:
        """The line; None where no channel has a value, for a line has at least one."""
        fields = {key: value for key, value in document.get("fields", {}).items() if value == value}  # NaN is not
        if not fields:
            return None
        name, at = document.get("name"), document.get("timestamp")
        if name is None:
            raise ValueError("a line begins with a measurement, and none is said: only: {name: MEASUREMENT} does")
        if at is not None and not isinstance(at, int):
            raise ValueError(f"{at} is no whole number, which the time of a line is: take a finer time.unit")
        if name.startswith(("#", "\t", "\r")):
            raise ValueError(f"{name!r} cannot begin a line: it would be passed over")
        tags = [f",{_escaped(key)}={_escaped(value)}" for key, value in document.get("tags", {}).items()]
        values = [f"{_escaped(key)}={_written(value)}" for key, value in fields.items()]
        return f"{_escaped(name)}{''.join(tags)} {','.join(values)}{'' if at is None else f' {at}'}".encode()


def _escaped(name: str) -> str:
    if not name or "\n" in name or name.endswith("\\"):
        raise ValueError(f"{name!r} cannot stand in a line: it is empty, has two lines, or ends with a backslash")
    return re.sub(r"([,= ])", r"\\\1", name)


def _written(value: float | int | str) -> str:
    if isinstance(value, str):
        return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    return f"{value}i" if isinstance(value, int) else repr(value)
