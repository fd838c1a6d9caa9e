"""Consuming and producing as every service of Atlas does it, and what it asks of a cluster."""
