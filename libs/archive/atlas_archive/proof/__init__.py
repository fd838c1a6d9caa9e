"""Is a topic's archive complete, and what is wrong with it."""
