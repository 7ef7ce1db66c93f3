"""The main job on a simulated series whose true fronts are known."""
