"""Fixtures for every test come from the embedded mesh's own plugin."""

pytest_plugins = ["atlas_local.testing"]
