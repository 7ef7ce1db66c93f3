"""Made scenes with known truth."""

from icefront.simulation.sketches import sketch, sketches

__all__ = ["sketch", "sketches"]
