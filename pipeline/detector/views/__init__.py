"""What a reading is judged by: one file a view, each with its error at a reading and the spans that smooth it."""

from pipeline.detector.views.components import Components
from pipeline.detector.views.level import Level
from pipeline.detector.views.linear import Linear
from pipeline.detector.views.memory import Memory, shapes
from pipeline.detector.views.prediction import Prediction, prediction_error
from pipeline.detector.views.view import FurtherView, View, errors_of, owners, spans_of

__all__ = [
    "Components",
    "FurtherView",
    "Level",
    "Linear",
    "Memory",
    "Prediction",
    "View",
    "errors_of",
    "owners",
    "prediction_error",
    "shapes",
    "spans_of",
]
