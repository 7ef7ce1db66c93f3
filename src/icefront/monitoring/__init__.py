"""Fronts through time: runs over archives, measures, series, products."""
