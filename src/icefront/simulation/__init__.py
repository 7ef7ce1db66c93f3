"""Glaciers, sensors and seasons with a known truth."""
