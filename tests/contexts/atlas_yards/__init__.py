"""Yards: a sample context. Accounts, the commands that change them, and their read model."""
