"""Plumbline: streaming anomaly detection for sensor time series.

As a library: `from pipeline import Detector, Monitor, load, save` and `from pipeline.training import fit`. Importing
this package brings neither torch nor pandas.
"""

from pipeline.bundle import load, save
from pipeline.detector.detector import Detector
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import Budget, ChannelRule, FalseAlarms, Policy

__all__ = ["Budget", "ChannelRule", "Detector", "FalseAlarms", "Monitor", "Policy", "load", "save"]
