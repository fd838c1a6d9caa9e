"""Events, as they go in, lie on their topics and come out."""
