"""Canaries: sent each second on every way that events take, and watched until queries and the archive have them."""
