"""One module a server: how it is prepared, run and asked whether it is ready."""
