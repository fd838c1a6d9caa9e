"""Keeps every record in object storage."""
