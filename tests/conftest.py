"""Fixtures for every test come from the embedded mesh's own plugin."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["atlas_local.testing"]

# Both are clocks: on a machine that does something else meanwhile, a test would fail for it.
settings.register_profile("atlas", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("atlas")
