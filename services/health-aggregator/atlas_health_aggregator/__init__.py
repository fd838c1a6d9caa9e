"""Watches every service and every consumer group."""
