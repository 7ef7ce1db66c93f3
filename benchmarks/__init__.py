"""Measurements of speed and memory: each module has ``run() -> list[dict]``, one dict a number."""
