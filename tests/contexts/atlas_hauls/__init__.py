"""Hauls: a sample context. Events of hauls, and what is read of them by haul, route, carrier and depot."""
