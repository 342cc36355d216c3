"""Give every test the same ground: fixed hypothesis seeds and the real data, where it is."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "curate",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("curate")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and tokenizers beside the checkout; without it tests skip."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs real data: no folder ../shared/data beside the checkout")
    return folder


@pytest.fixture(scope="session")
def scale() -> int:
    """Multiplies the size of test campaigns: CURATE_TEST_SCALE, default 1."""
    return int(os.environ.get("CURATE_TEST_SCALE", "1"))
