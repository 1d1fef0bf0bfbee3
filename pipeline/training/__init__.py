"""history -> Detector. `fit` learns from a frame; everything here needs torch."""

from pipeline.training.fit import fit

__all__ = ["fit"]
