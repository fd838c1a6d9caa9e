"""The ledger: for each partition of a topic, what became of its records, and whether any of them is unaccounted for."""
