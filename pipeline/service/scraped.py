"""What Prometheus finds at a scrape and nobody counted: times, lags, and the sensors that are shown one by one.

What belongs to a partition or to a series is collected from what is ours at that moment. A figure that is not known is
left out; none stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.records import Floats
from pipeline.service.lag import Lag
from pipeline.service.stream import Served
from pipeline.service.watched import Listed, WatchedSeries


class Moment(Collector):
    """One time, absent until it was set."""

    def __init__(self, name: str, help_text: str) -> None:
        self._name, self._help = name, help_text
        self._at: float | None = None

    def set(self, at: float) -> None:
        self._at = at

    def describe(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(self._name, self._help)

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(self._name, self._help, value=self._at)


class Behind(Collector):
    """How far behind each partition is."""

    LABELS = ("topic", "partition")

    def __init__(self, lag: Lag) -> None:
        self._lag = lag

    def describe(self) -> Iterable[Metric]:
        return self._families()

    def collect(self) -> Iterable[Metric]:
        records, seconds = self._families()
        for one in self._lag.behind():
            labels = (one.partition.topic, str(one.partition.number))
            records.add_metric(labels, one.records)
            if one.seconds is not None:
                seconds.add_metric(labels, one.seconds)
        return records, seconds

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily("plumbline_lag_records", "Unread records of a partition.", labels=self.LABELS),
            GaugeMetricFamily(
                "plumbline_lag_seconds", "Age that its oldest unread record has at most; 0: none.", labels=self.LABELS
            ),
        )


class Sensors(Collector):
    """The listed series of each detector."""

    CHANNEL = ("detector", "series", "channel")
    SERIES = ("detector", "series")

    def __init__(self) -> None:
        self._shown: tuple[Mapping[str, Served], Mapping[str, WatchedSeries]] = ({}, {})

    def show(self, served: Mapping[str, Served], watched: Mapping[str, WatchedSeries]) -> None:
        """These from now on, by the name of their detector; another thread may be collecting."""
        self._shown = served, watched

    def describe(self) -> Iterable[Metric]:
        return self._families().values()

    def collect(self) -> Iterable[Metric]:
        families = self._families()
        of_detectors, all_watched = self._shown
        for name, watched in all_watched.items():
            listed = watched.listed()
            families["unlisted"].add_metric((name,), listed.unlisted)
            for row, series in enumerate(listed.names):
                self._one(families, (name, series), of_detectors[name].channels, listed, row)
        return families.values()

    def _families(self) -> dict[str, GaugeMetricFamily]:
        def family(name: str, help_text: str, labels: tuple[str, ...]) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"plumbline_{name}", help_text, labels=labels)

        return {
            "value": family("channel_value", "Last reading of a listed series, in the channel's unit.", self.CHANNEL),
            "expected": family("channel_expected", "Forecast of that reading.", self.CHANNEL),
            "lower": family("channel_lower", "Lower end of the expected band of 99 %.", self.CHANNEL),
            "upper": family("channel_upper", "Upper end of the expected band of 99 %.", self.CHANNEL),
            "score": family("series_score_decades", "Rarity of that reading; 2 is one in a hundred.", self.SERIES),
            "bar": family("series_bar_decades", "The bar that it was compared with.", self.SERIES),
            "alert": family("series_alert", "1 while an incident of the series is open.", self.SERIES),
            "unlisted": family("series_unlisted", "Series that match and are not listed.", ("detector",)),
        }

    @staticmethod
    def _one(
        families: Mapping[str, GaugeMetricFamily],
        labels: tuple[str, str],
        channels: Sequence[str],
        listed: Listed,
        row: int,
    ) -> None:
        scored = bool(listed.scored[row])
        families["alert"].add_metric(labels, float(listed.alert[row]))
        if scored:
            families["score"].add_metric(labels, float(listed.score[row]))
            families["bar"].add_metric(labels, float(listed.bar[row]))
        for channel, name in enumerate(channels):
            if not listed.missing[row, channel]:
                families["value"].add_metric((*labels, name), float(listed.values[row, channel]))
            if scored:
                drawn: Mapping[str, Floats] = {
                    "expected": listed.expected,
                    "lower": listed.lower,
                    "upper": listed.upper,
                }
                for which, numbers in drawn.items():
                    families[which].add_metric((*labels, name), float(numbers[row, channel]))
