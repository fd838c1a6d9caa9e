"""Schemas that come from elsewhere."""
