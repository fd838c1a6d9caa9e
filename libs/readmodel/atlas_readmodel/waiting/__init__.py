"""Records that wait beside the rows they belong to."""
