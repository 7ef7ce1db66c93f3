"""
Measure fronts from elsewhere
=============================

Fronts that somebody traced, in a shapefile with the columns of a public data set, become a curve
through time: positions, a trend with its interval, seasons and calving events.
"""

# %%
# Three years of traced fronts
# ----------------------------
# True fronts of a simulated glacier stand in for them, written as a shapefile with the columns of
# TermPicks and nothing else: no centreline, no box.

import subprocess
import tempfile
from pathlib import Path

import geopandas as gpd
import matplotlib.pyplot as plt

from icefront.fronts import read_fronts
from icefront.measures import curvilinear_box, propose_centreline, propose_width
from icefront.timeseries import make_series

folder = Path(tempfile.mkdtemp())
subprocess.run(
    "icefront simulate scenes --glacier Kronebreen --pixel-size 200 --count 72 --out s".split(),
    cwd=folder,
    check=True,
    capture_output=True,
)
fronts = gpd.read_file(folder / "s/truth.gpkg", layer="fronts")
traced = gpd.GeoDataFrame(
    {"GlacierID": 42, "Date": fronts["date"], "Author": "A. Author"},
    geometry=fronts.geometry,
    crs=fronts.crs,
)
traced.to_file(folder / "traced.shp")

# %%
# One table, whatever the columns were called
# -------------------------------------------

fronts = read_fronts(folder / "traced.shp", source="traced")
fronts[["glacier", "date", "source", "length_m"]].head()

# %%
# Positions
# ---------
# Nothing was drawn, so the centreline is proposed from the fronts themselves. On which side of
# lines from elsewhere the ice is, the map of land tells for real glaciers; for a simulated one we
# name a place inland. The position is the area of ice in a band about the centreline, divided by
# the width of the band.

flow = gpd.read_file(folder / "s/truth.gpkg", layer="centreline").geometry.iloc[0]
centreline = propose_centreline(fronts, inland=flow.coords[0])
positions = curvilinear_box(fronts, centreline, propose_width(fronts))
positions["source"] = "traced"
series = make_series(positions)
fit = series.fit
print(f"{fit.rate:.0f} m/yr (95 %: {fit.rate_low:.0f} to {fit.rate_high:.0f}); advance is positive")
series.events

# %%
# The curve
# ---------

plt.rcParams["date.converter"] = "concise"
figure, (chart, curve) = plt.subplots(
    1, 2, figsize=(11, 4.6), width_ratios=[1, 1.6], layout="constrained"
)
fronts.plot(ax=chart, cmap="plasma", linewidth=1)
centreline.plot(ax=chart, color="black", linestyle="--", linewidth=1)
chart.set_title("72 fronts and the proposed centreline")
chart.set_axis_off()

table = series.table
curve.errorbar(
    table["date"], table["position_m"], table["uncertainty_m"], fmt="o", markersize=4, alpha=0.7
)
days = (table["date"] - table["date"].min()).dt.days
curve.axvline(table["date"].iloc[0], alpha=0)
for event in series.events.itertuples():
    curve.axvspan(event.before, event.after, color="#56B4E9", alpha=0.4, linewidth=0)
curve.set_ylabel("position along the centreline, m")
curve.set_title(f"{fit.rate:.0f} m/yr; calving events in blue")
curve.grid(alpha=0.3)
