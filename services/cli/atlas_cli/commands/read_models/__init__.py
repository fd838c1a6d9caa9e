"""Projections, what they could not handle, and what they leave behind."""
