"""Events that are posted: from the bytes of a request to records on a topic."""
