"""What all layers of the tests share: threads, drawn examples, real data, a cache of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# Before torch and numpy are imported: the tests run side by side, one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from tests.helpers.paths import DATA, ROOT

# The same examples each time, however slow the machine; other ones are drawn with
# `pytest --hypothesis-profile=explore`.
settings.register_profile("fixed", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("fixed")


def pytest_configure(config: pytest.Config) -> None:
    """Let the processes that tests start find the package in this source tree."""
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    # Shells start jobs in the background with Ctrl-C ignored, and processes inherit that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Say whether tests on real data can run."""
    return f"real data: {DATA}" if DATA.is_dir() else f"real data: none in {DATA} (ICEFRONT_DATA)"


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory):
    """Keep what the tests cache out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICEFRONT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data, or skip the test."""
    if not DATA.is_dir():
        pytest.skip(f"there is no real data in {DATA}: name its folder in ICEFRONT_DATA")
    return DATA
