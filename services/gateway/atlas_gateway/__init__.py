"""Commands, events and queries over HTTP."""
