"""`plumbline dead-letters list` and `plumbline dead-letters publish`."""

from __future__ import annotations

import base64
import heapq
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pipeline.cli.broker import cluster_of
from pipeline.cli.configuration import load_settings
from pipeline.cli.console import counted, note, say, table
from pipeline.cli.letter_choice import choice_of, chosen
from pipeline.cli.sending_back import planned, send_back
from pipeline.exceptions import SettingsError
from pipeline.formats import times
from pipeline.service.letters import Letter, text
from pipeline.settings import Settings

SHOWN = 50  # letters of a table, without --limit
LONGEST_DETAIL, LONGEST_KEY, LONGEST_VALUE = 60, 24, 60  # characters of a table


def list_letters(
    config: Path,
    /,
    *,
    reason: list[str] | None = None,
    topic: str | None = None,
    since: str | None = None,
    letter: list[str] | None = None,
    limit: int | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Show records that were no readings, and why.

    Reads the topic of outputs.dead_letters, as nobody's member. A line has the letter's place (partition:offset), when
    it was written, the reason, where the record stood, its key, what was found (after `again` where it had been sent
    back before), and how its value begins. The counts by reason come last.

    Parameters
    ----------
    config
        The configuration.
    reason
        Only these: syntax, encoding, field, type, time, not_finite, oversize, schema.
    topic
        Only those of records that came from this topic.
    since
        Only what was written since then: 90min, 36h, 14d, or a time such as 2024-05-01T14:05, UTC.
    letter
        Only these, as partition:offset.
    limit
        The newest so many: 50 in the table, all as JSON.
    as_json
        A line of JSON for each, with all of its bytes: as text, or where they are no text as base64.
    """
    choice = choice_of(reason, topic, since, letter, limit)
    settings = load_settings(config)
    written_to = _topic(settings)
    seen = Counter[str]()
    with chosen(cluster_of(settings, "dead-letters list", os.environ), written_to, choice, seen) as found:
        if as_json and limit is None:
            for one in found:
                say(json.dumps(as_dict(one), ensure_ascii=False))
            shown = seen.total()
        else:
            newest = heapq.nlargest(limit or SHOWN, found, key=lambda one: (one.at, one.place))[::-1]
            shown = len(newest)
            if as_json:
                for one in newest:
                    say(json.dumps(as_dict(one), ensure_ascii=False))
            elif newest:
                say(table(_rows(newest)))
    (note if as_json else say)(_counts(written_to, seen, shown, chosen=choice.narrows))


def publish_letters(
    config: Path,
    /,
    *,
    reason: list[str] | None = None,
    topic: str | None = None,
    since: str | None = None,
    letter: list[str] | None = None,
    limit: int | None = None,
    everything: Annotated[bool, Parameter(name="--all")] = False,
    dry_run: bool = False,
) -> None:
    """Send records that were no readings back to their topic, after what was wrong is mended.

    Each goes to the partition that it came from, with its own key, value and headers, and one header more,
    plumbline-republished, which names the record and the letter. What stands in the topic with that header is not sent
    a second time, so the command can be given again: until the topic's retention deletes it, and unless two of these
    commands run at once. A record of which the letter holds only a part is left out. All that is chosen is held in
    memory: of many, send some at a time.

    The service reads them where they stand now, at the end. Readings that are older than the last one of their series
    are late, and are not scored: `plumbline capture` and `plumbline backtest` score them.

    Parameters
    ----------
    config
        The configuration.
    reason
        Only these: syntax, encoding, field, type, time, not_finite, oversize, schema.
    topic
        Only those of records that came from this topic.
    since
        Only what was written since then: 90min, 36h, 14d, or a time such as 2024-05-01T14:05, UTC.
    letter
        Only these, as partition:offset, the first column of the list.
    limit
        The oldest so many that can be sent.
    everything
        All of them.
    dry_run
        Show what would be sent, and send nothing.
    """
    choice = choice_of(reason, topic, since, letter, limit)
    if everything == (choice.narrows or limit is not None):
        raise SettingsError(
            "which letters? Choose by --reason, --topic, --since, --letter or --limit, or take --all, not both; "
            "--dry-run shows what would be sent"
        )
    settings = load_settings(config)
    written_to, cluster = _topic(settings), cluster_of(settings, "dead-letters publish", os.environ)
    with chosen(cluster, written_to, choice, Counter()) as found:
        plan = planned(list(found), settings, cluster, limit)
    into = ", ".join(sorted({one.source.topic for one in plan.send}))
    if not plan.send:
        say(f"nothing to send: {written_to} holds no letter of these that can be sent back, or still is to be")
    elif dry_run:
        say(table(_rows(plan.send)))
        say(f"{counted(len(plan.send), 'record')} would be sent to {into}; nothing was sent")
    else:
        send_back(plan.send, cluster)
        say(f"{counted(len(plan.send), 'record')} sent to {into} at {cluster.bootstrap_servers}")
    for why, count in plan.left.items():
        note(f"{counted(count, 'letter')} left out: {why}")


def _topic(settings: Settings) -> str:
    if settings.outputs.dead_letters is None:
        raise SettingsError(f"{settings.path}: outputs.dead_letters is null: nothing is kept of what is no reading")
    return settings.outputs.dead_letters


def _rows(some: Sequence[Letter]) -> list[list[str]]:
    """A table with its head."""
    head = ["letter", "when", "reason", "record", "key", "detail", "value"]
    return [head, *(_row(one) for one in some)]


def _row(one: Letter) -> list[str]:
    again = "again: " if one.republished is not None else ""
    return [
        f"{one.place.partition}:{one.place.offset}",
        f"{times.moment(one.at * 1000):%Y-%m-%d %H:%M:%S}",
        one.reason,
        str(one.source),
        _short(one.key, LONGEST_KEY),
        _printable(f"{again}{one.detail}", LONGEST_DETAIL),
        _short(one.value, LONGEST_VALUE) + " (cut)" * bool(one.truncated),
    ]


def _short(content: bytes | None, longest: int) -> str:
    """How some bytes begin."""
    return "-" if content is None else _printable(text(content[: 4 * longest]), longest)


def _printable(words: str, longest: int) -> str:
    """A text on one line, cut where it is long."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
    return line if len(line) <= longest else f"{line[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"


def as_dict(one: Letter) -> dict[str, Any]:
    """A letter in values of JSON; of bytes that are no text `..._base64` takes the place of the text."""
    return {
        "letter": one.place._asdict(),
        "at": times.iso(one.at * 1000),
        "reason": one.reason,
        "detail": one.detail,
        "record": one.source._asdict(),
        "truncated": one.truncated or None,
        "republished": one.republished,
        **_in_json("key", one.key),
        **_in_json("value", one.value),
        "headers": [{"name": name, **_in_json("value", content)} for name, content in one.headers],
    }


def _in_json(name: str, content: bytes | None) -> dict[str, str | None]:
    if content is None:
        return {name: None}
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content).decode()}


def _counts(topic: str, seen: Counter[str], shown: int, *, chosen: bool) -> str:
    """How many there are, by reason, the most frequent first."""
    total = seen.total()
    if not total:
        return f"no letter of {topic} is among those chosen" if chosen else f"{topic} holds no letter"
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in seen.most_common())
    part = f"; the newest {shown:,} are shown" if shown < total else ""
    return f"{counted(total, 'letter')} in {topic}: {reasons}{part}"
