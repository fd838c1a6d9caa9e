"""Archived records as tables for analysts: what a column is, Parquet files, a folder an event type."""
