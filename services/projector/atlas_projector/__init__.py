"""Turns topics into read models."""
