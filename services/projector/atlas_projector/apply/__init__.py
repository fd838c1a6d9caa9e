"""Records into rows of one generation, each once: the ordinary way of a batch, and the careful one."""
