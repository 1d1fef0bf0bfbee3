"""What a reading is judged by: one file a view, each with its error at a reading and the spans that smooth it."""

from pipeline.detector.views.level import Level
from pipeline.detector.views.prediction import Prediction
from pipeline.detector.views.view import Moment, View, errors_of, owners, spans_of, weights

__all__ = ["Level", "Moment", "Prediction", "View", "errors_of", "owners", "spans_of", "views_for", "weights"]


def views_for(scored_channels: int) -> tuple[View, ...]:
    """The views of a detector: |z| only for one channel, on many it drags (docs/decisions/0002)."""
    return (Prediction(), Level()) if scored_channels == 1 else (Prediction(),)
