"""`atlas new` and `atlas remove`: the first lines of a context, an event, a command, a projection; and their end."""
