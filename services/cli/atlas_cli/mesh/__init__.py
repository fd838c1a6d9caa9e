"""The mesh brought up, taken down and shown."""
