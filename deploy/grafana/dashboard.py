"""The dashboard as code: `python deploy/grafana/dashboard.py` writes plumbline.json beside it, `--stdout` prints it.

Rows from the question to the cause: is all well now, what does the sensor do, how rare is it, what comes in, how is it
worked on, what does it cost. Every panel says in its description what healthy looks like.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

from drawing import (
    BLUE,
    DASHED,
    GREEN,
    ORANGE,
    RED,
    bars,
    curves,
    facts,
    mark,
    number,
    stacked,
    states,
    style,
    variable,
)
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync

ALL = 'job=~"$job", instance=~"$instance"'
DETECTOR = f'{ALL}, detector="$detector"'
SERIES = f'{DETECTOR}, series="$series"'
CHANNEL = f'{SERIES}, channel=~"$channel"'


def rate(name: str, labels: str = ALL) -> str:
    """Events per second."""
    return f"rate(plumbline_{name}{{{labels}}}[$__rate_interval])"


def increase(name: str, span: str, labels: str = ALL) -> str:
    """Events in a span."""
    return f"increase(plumbline_{name}{{{labels}}}[{span}])"


def now() -> list[Any]:
    """What one looks at first."""
    scored = increase("readings_total", "$__range", f'{ALL}, outcome="scored"')
    promised = f"""sum({scored} * on (job, instance, detector) group_left
        plumbline_target_exceedance_ratio{{{ALL}}}) > 0"""
    return [
        number(
            "Ready",
            "Processes that answer /-/ready with 200. Healthy: all that were started, and never 0.",
            "short",
            (f"sum(plumbline_ready{{{ALL}}})", "ready"),
            (None, RED),
            (1, GREEN),
        ),
        number(
            "Readings",
            "Records taken per second, whatever became of them. Healthy: what the sensors send.",
            "cps",
            (f"sum({rate('readings_total')})", "readings"),
            (None, BLUE),
        ),
        number(
            "Time behind",
            "Age that the oldest unread record has at most. Healthy: seconds; a rise is a backlog.",
            "s",
            (f"max(plumbline_lag_seconds{{{ALL}}})", "behind"),
            (None, GREEN),
            (60, ORANGE),
            (300, RED),
        ),
        number(
            "Open critical incidents",
            "Incidents that are open and whose score reached a decade above their bar. Healthy: none.",
            "short",
            (f'sum(plumbline_open_incidents{{{ALL}, severity="critical"}})', "critical"),
            (None, GREEN),
            (1, RED),
        ),
        number(
            "Open warnings",
            "Incidents that are open and not critical. Healthy: few, and other ones tomorrow.",
            "short",
            (f'sum(plumbline_open_incidents{{{ALL}, severity="warning"}})', "warning"),
            (None, GREEN),
            (1, ORANGE),
        ),
        number(
            "Exceedance, times the promise",
            "Readings above their bar in the range shown, as a multiple of what was promised. Healthy: about 1 or "
            "less, once some ten were promised; in a short range it says little.",
            "none",
            (f"sum({increase('exceedances_total', '$__range')}) / ({promised})", "times the promise"),
            (None, GREEN),
            (2, ORANGE),
            (5, RED),
        ).decimals(2),
    ]


def sensor() -> list[Any]:
    """What the sensor did and what was expected of it, once for each channel."""

    def newest(name: str) -> str:
        return f"max by (channel) (plumbline_channel_{name}{{{CHANNEL}}})"

    panel = curves(
        "$series: $channel",
        "The last reading of the chosen series, what was expected of it, and the band that holds 99 % of normal "
        "readings, as the service knew them at each scrape. Healthy: the reading runs within the band. Red: an "
        "incident is open. No band: the series is warming up. Only listed series can be chosen (telemetry.series).",
        "none",
        (newest("upper"), "upper"),
        (newest("lower"), "lower"),
        (newest("expected"), "expected"),
        (newest("value"), "reading"),
        (
            f"""max by (channel) (plumbline_channel_value{{{CHANNEL}}}
                and on (job, instance, detector, series) plumbline_series_alert{{{SERIES}}} == 1)""",
            "in an incident",
        ),
    )
    panel.span(24).height(10).fill_opacity(0).repeat("channel").repeat_direction("h").max_per_row(2)
    style(panel, "upper", color=BLUE, line_width=0, fill_below_to="lower", fill_opacity=18)
    style(panel, "lower", color=BLUE, line_width=0)
    style(panel, "expected", color=BLUE, line_style=DASHED)
    style(panel, "reading", color=GREEN, line_width=2)
    style(panel, "in an incident", color=RED, draw_style="points", point_size=7, show_points="always")
    return [panel]


def score() -> list[Any]:
    """How rare it is, and whether the promise is kept."""
    against_bar = curves(
        "$series: score and bar",
        "Rarity of the last reading in decades (2 is one in a hundred), and the bar that it is held against. Healthy: "
        "the score wanders between 0 and 2 and passes the bar as rarely as was promised.",
        "none",
        (f"max(plumbline_series_score_decades{{{SERIES}}})", "score"),
        (f"max(plumbline_series_bar_decades{{{SERIES}}})", "bar"),
    ).span(12)
    style(against_bar, "score", color=GREEN)
    style(against_bar, "bar", color=RED, line_style=DASHED, fill_opacity=0)
    exceeding = f"sum by (detector) ({increase('exceedances_total', '6h')})"
    scored = increase("readings_total", "6h", f'{ALL}, outcome="scored"')
    return [
        against_bar,
        states(
            "Series in an incident",
            "The listed series, and which of them is in an incident. Healthy: hardly any red.",
            (f"max by (series) (plumbline_series_alert{{{DETECTOR}}})", "{{series}}"),
        ),
        curves(
            "Exceedance and promise, six hours",
            "Share of scored readings above their bar within six hours, and the promise. Healthy: at or below the "
            "promise, give or take, once some ten exceedances were promised.",
            "percentunit",
            (f"{exceeding} / (sum by (detector) ({scored}) > 0)", "{{detector}}"),
            (f"max by (detector) (plumbline_target_exceedance_ratio{{{ALL}}})", "{{detector}}: promise"),
        ),
        bars(
            "Incidents raised",
            "Incidents by the severity that they were raised with. Healthy: as many as you asked for.",
            "short",
            (f"sum by (severity) ({increase('incidents_total', '$__rate_interval')})", "{{severity}}"),
        ),
        bars(
            "Held back by a rule",
            "Exceeding readings that raised nothing because of direction or ignore_below. Healthy: a trickle; a stream "
            "of them says that the rule hides something.",
            "short",
            (f"sum by (rule) ({increase('held_back_total', '$__rate_interval')})", "{{rule}}"),
        ).span(4),
        number(
            "Series not listed",
            "Series that match telemetry.series and cannot be drawn, because there are more than its `max`. No fault.",
            "short",
            (f"sum(plumbline_series_unlisted{{{ALL}}})", "not listed"),
            (None, BLUE),
        ).height(8),
        curves(
            "Stuck and silent now",
            "Series of which a channel has had one value for too long, and series without a reading while others go "
            "on; no score has to do with it. Healthy: none, or those that you know of.",
            "short",
            (f"sum by (kind) (plumbline_open_quiet_incidents{{{ALL}}})", "{{kind}}"),
        ).span(8),
        bars(
            "Found stuck or silent",
            "Incidents of these kinds when they are raised. Healthy: hardly any; many at once are one cause, such as "
            "a gateway that repeats what it last read.",
            "short",
            (f"sum by (kind) ({increase('quiet_incidents_total', '$__rate_interval')})", "{{kind}}"),
        ).span(8),
        bars(
            "Muted alerts",
            "Events of incidents that were not sent, for their series is muted. Healthy: none but where work goes on.",
            "short",
            (f"sum by (event) ({increase('muted_alerts_total', '$__rate_interval')})", "{{event}}"),
        ).span(8),
    ]


def inputs() -> list[Any]:
    """What comes in, and what does not get further."""
    return [
        stacked(
            "Records by outcome",
            "Records by outcome. Healthy: nearly all scored; warming after a start and for new series.",
            "cps",
            (f"sum by (outcome) ({rate('readings_total')})", "{{outcome}}"),
        ).span(6),
        stacked(
            "Invalid records by reason",
            "Records that are no readings, by reason. Healthy: none. Each is a dead letter with its reason.",
            "cps",
            (f"sum by (reason) ({rate('invalid_total')})", "{{reason}}"),
        ).span(6),
        curves(
            "Share of invalid records",
            "Share of the last records, 1,000 or more, that were no readings, in each process. Healthy: near 0. Above "
            "outputs.dead_letter_limit for a minute, the service stops.",
            "percentunit",
            (f"max by (detector) (plumbline_invalid_ratio{{{ALL}}})", "{{detector}}"),
        ).span(6),
        curves(
            "Dead letters",
            "Invalid records handed on as dead letters. Healthy: none; `error` never.",
            "cps",
            (f"sum by (result) ({rate('dead_letters_total')})", "{{result}}"),
        ).span(6),
        curves(
            "Lag by partition",
            "Unread records of each partition. Healthy: near 0, and alike. One that only grows stands still.",
            "short",
            (f"max by (topic, partition) (plumbline_lag_records{{{ALL}}})", "{{topic}}[{{partition}}]"),
        ),
        curves(
            "Time behind by partition",
            "Age that the oldest unread record of each partition has at most. Healthy: seconds.",
            "s",
            (f"max by (topic, partition) (plumbline_lag_seconds{{{ALL}}})", "{{topic}}[{{partition}}]"),
        ),
        curves(
            "Partitions by process",
            "Partitions of each process. Healthy: spread evenly, and their sum never changes.",
            "short",
            (f"sum by (instance, topic) (plumbline_assigned_partitions{{{ALL}}})", "{{instance}} {{topic}}"),
        ),
        stacked(
            "Ignored records by reason",
            "Records that are about something else, by what they are. Healthy: whatever your topics hold besides; "
            "where all is `unselected`, the input's `only` is wrong.",
            "cps",
            (f"sum by (reason) ({rate('ignored_total')})", "{{reason}}"),
        ).span(12),
        curves(
            "Waiting for the schema registry",
            "Partitions whose records wait, and records that were set back because of it. Healthy: 0; the log line "
            "`records wait` says what to mend.",
            "short",
            (f"sum(plumbline_waiting_partitions{{{ALL}}})", "partitions"),
            (f"sum({increase('put_off_records_total', '$__rate_interval')})", "records set back"),
        ).span(12),
    ]


def work() -> list[Any]:
    """How the loop spends its time, and whether what it does lasts."""
    return [
        curves(
            "Time per poll and stage, p95",
            "The 95th percentile of what a poll's records take in each stage. Healthy: milliseconds; `commit` up to a "
            "second. Together they must stay far below the group's poll deadline.",
            "s",
            (
                f"histogram_quantile(0.95, sum by (le, stage) ({rate('stage_duration_seconds_bucket')}))",
                "{{stage}}",
            ),
        ),
        stacked(
            "Busy share by stage",
            "Share of the time that the loop spends in each stage. Healthy: a sum well below 1; at 1 it falls behind.",
            "percentunit",
            (f"sum by (stage) ({rate('stage_duration_seconds_sum')})", "{{stage}}"),
        ),
        curves(
            "Time since poll and commit",
            "Time since the last poll and the last commit. Healthy: a second, and the seconds between two commits.",
            "s",
            (f"max(time() - plumbline_last_poll_timestamp_seconds{{{ALL}}})", "poll"),
            (f"max(time() - plumbline_last_commit_timestamp_seconds{{{ALL}}})", "commit"),
        ),
        curves(
            "Commits",
            "Commits per second. Healthy: a steady trickle of `ok`; `error` in a row makes the service unready.",
            "cps",
            (f"sum by (result) ({rate('commits_total')})", "{{result}}"),
        ),
        curves(
            "Partitions taken on",
            "How assigned partitions went on, since each process started. Healthy: `state`, or `first_start` once. "
            "Others lost what was remembered of their series.",
            "short",
            (f"sum by (reason) (plumbline_restores_total{{{ALL}}})", "{{reason}}"),
        ),
        curves(
            "Failed calls to Kafka",
            "Failed calls to Kafka. Healthy: none but in an outage.",
            "cps",
            (f"sum by (operation) ({rate('kafka_errors_total')})", "{{operation}}"),
        ),
    ]


def process() -> list[Any]:
    """What it costs, and what runs."""
    return [
        curves(
            "CPU",
            "Processor cores in use. Healthy: below 1 for each process, as one thread does the work.",
            "short",
            (f"sum by (instance) (rate(process_cpu_seconds_total{{{ALL}}}[$__rate_interval]))", "{{instance}}"),
        ).span(6),
        curves(
            "Memory",
            "Memory in use. Healthy: level; it grows with the number of series and then stays.",
            "bytes",
            (f"sum by (instance) (process_resident_memory_bytes{{{ALL}}})", "{{instance}}"),
        ).span(6),
        curves(
            "Series remembered",
            "Series that are remembered. Healthy: as many as there are sensors; a steady rise is a name with no bound.",
            "short",
            (f"sum by (detector) (plumbline_series{{{ALL}}})", "{{detector}}"),
            (f"sum by (detector) (plumbline_waiting_readings{{{ALL}}})", "{{detector}}, readings that wait"),
        ).span(6),
        curves(
            "Reloads",
            "New configurations since each process started, and those that go on with an older one now. Healthy: no "
            "`error`, and `refused` at 0.",
            "short",
            (f"sum by (result) (plumbline_model_reloads_total{{{ALL}}})", "{{result}}"),
            (f"sum(1 - plumbline_config_last_reload_successful{{{ALL}}})", "refused"),
        ).span(6),
        curves(
            "Warming up",
            "Series that are not scored yet, or not again after a gap, and the readings that one of them still needs "
            "at most. Healthy: none, but after a start and when sensors are added.",
            "short",
            (f"sum by (detector) (plumbline_series_warming{{{ALL}}})", "{{detector}}, series"),
            (f"max by (detector) (plumbline_warm_up_readings{{{ALL}}})", "{{detector}}, readings"),
        ).span(12),
        curves(
            "Time until all are scored",
            "The same readings as time, by the step of their series. Healthy: 0, or a line that sinks; level where a "
            "series that warms up has fallen silent.",
            "s",
            (f"max by (detector) (plumbline_warm_up_seconds{{{ALL}}})", "{{detector}}"),
        ).span(12),
        facts(
            "Detectors",
            "The detectors that are served. Healthy: one line a detector; two digests are a rollout under way.",
            f"max by (detector, topic, digest) (plumbline_detector_info{{{ALL}}})",
        ),
        facts(
            "Programs",
            "The versions that run. Healthy: one line; two are a rollout under way.",
            f"count by (version, python) (plumbline_build_info{{{ALL}}})",
        ),
    ]


def build() -> dict[str, Any]:
    """The dashboard as Grafana's JSON."""
    board = dashboard.Dashboard("Plumbline").uid("plumbline").tags(["plumbline"]).refresh("10s")
    board.time("now-1h", "now").tooltip(DashboardCursorSync.CROSSHAIR).timezone("browser").editable()
    board.description("Readings, what was expected of them, and how the service fares that compares the two.")
    board.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for chosen in (
        variable("job", "Job", "label_values(plumbline_ready, job)", many=True),
        variable("instance", "Process", 'label_values(plumbline_ready{job=~"$job"}, instance)', many=True),
        variable("detector", "Detector", f"label_values(plumbline_detector_info{{{ALL}}}, detector)", many=False),
        variable("series", "Series", f"label_values(plumbline_series_alert{{{DETECTOR}}}, series)", many=False),
        variable("channel", "Channel", f"label_values(plumbline_channel_value{{{SERIES}}}, channel)", many=True),
    ):
        board.with_variable(chosen)
    fires = 'ALERTS{alertname=~"Plumbline.+", alertstate="firing"}'
    board.annotation(mark("Alerts of the service", fires, ORANGE, "{{alertname}}", "{{severity}} {{instance}}"))
    in_incident = f"plumbline_series_alert{{{SERIES}}} == 1"
    board.annotation(mark("Incidents of the series", in_incident, RED, "{{series}}", "in an incident"))
    taken_over = f'changes(plumbline_model_reloads_total{{{ALL}, result="ok"}}[$__rate_interval]) > 0'
    board.annotation(mark("Reloads", taken_over, BLUE, "reloaded", "{{instance}}"))
    rows = {
        "Now": now(),
        "The sensor": sensor(),
        "Score and bar": score(),
        "Input": inputs(),
        "Processing": work(),
        "Process": process(),
    }
    for title, panels in rows.items():
        board.with_row(dashboard.Row(title))
        for panel in panels:
            board.with_panel(panel)
    return repaired(json.loads(JSONEncoder().encode(board.build())))


def repaired(board: dict[str, Any]) -> dict[str, Any]:
    """Repair what the generator leaves to us.

    Every panel has an id; a table has no footer of an older scheme; a variable nothing that belongs to another kind.
    """
    numbers = count(1)
    for chosen in board["templating"]["list"]:
        for misplaced in ("auto", "auto_count", "auto_min"):
            chosen.pop(misplaced, None)
    for panel in board["panels"]:
        panel["id"] = next(numbers)
        panel.get("options", {}).pop("footer", None)
    return board


def main() -> None:
    """Write the JSON beside this file, or print it."""
    text = json.dumps(build(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if sys.argv[1:] == ["--stdout"]:
        sys.stdout.write(text)
    else:
        (Path(__file__).parent / "plumbline.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
