"""A simulated radar scene with its truth: speed on one core, memory on a large grid."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time

from icefront.simulation.archives import landscape_of
from icefront.simulation.radar import SENSORS
from icefront.simulation.samples import simulate_image

DATE = dt.date(2017, 7, 20)

# In a process of its own, so that the peak is that of this scene.
LARGE = """
import datetime as dt, resource, time
from icefront.simulation.archives import landscape_of
from icefront.simulation.radar import SENSORS
from icefront.simulation.samples import simulate_image
landscape = landscape_of("Helheim", 0)
landscape.upland, landscape.textures
begun = time.perf_counter()
image = simulate_image(landscape, dt.date(2017, 7, 20), SENSORS["S1"], 5.0, 0)
print(time.perf_counter() - begun, image.grey.size, image.grey.shape[0],
      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run() -> list[dict]:
    landscape = landscape_of("Kronebreen", 0)
    simulate_image(landscape, DATE, SENSORS["S1"], 20.0, 0)  # what is made once
    rows = []
    for name, pixel_m in (("S1", 14.0), ("TSX", 7.0)):
        begun = time.perf_counter()
        image = simulate_image(landscape, DATE, SENSORS[name], pixel_m, 1)
        taken = time.perf_counter() - begun
        rows.append(
            dict(
                name=f"{name} scene with truth, {image.grey.shape[0]} pixels wide",
                value=image.grey.size / 1e6 / taken,
                unit="MPx/s",
                note="one core",
            )
        )
    done = subprocess.run([sys.executable, "-c", LARGE], check=True, capture_output=True, text=True)
    seconds, pixels, side, peak = map(float, done.stdout.split())
    unit = 1 if sys.platform == "darwin" else 1024
    title = f"S1 scene with truth, {side:.0f} pixels wide"
    rows.append(dict(name=title, value=pixels / 1e6 / seconds, unit="MPx/s", note="one core"))
    rows.append(dict(name=f"{title}, peak memory", value=peak * unit / 1e9, unit="GB", note=""))
    return rows
