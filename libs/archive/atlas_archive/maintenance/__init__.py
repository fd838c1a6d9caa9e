"""Fewer and larger segments, and giving old ones up."""
