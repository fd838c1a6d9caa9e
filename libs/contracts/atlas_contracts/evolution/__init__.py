"""What a next version of a schema may change."""
