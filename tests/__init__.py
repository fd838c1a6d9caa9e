"""Tests of the engines: they run on contexts of their own, whatever others are installed."""

from tests.contexts import choose

choose()
