"""Where a front lies: along centrelines, in terminus boxes. Pure geometry of tables of fronts."""
