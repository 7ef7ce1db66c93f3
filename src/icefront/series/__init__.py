"""Several dates of a glacier on one grid: what neighbouring dates tell about each other."""

from __future__ import annotations
