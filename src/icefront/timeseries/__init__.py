"""Positions through time: trend, seasons, calving events, outliers, grades."""
