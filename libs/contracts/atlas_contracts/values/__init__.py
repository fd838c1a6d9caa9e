"""A value of a schema: encoded, checked, shown as JSON, and what bounds it."""
