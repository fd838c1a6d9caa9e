"""A new generation from history, beside the live one."""
