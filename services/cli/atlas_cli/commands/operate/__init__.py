"""To look after a mesh that runs."""
