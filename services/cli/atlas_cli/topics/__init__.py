"""Records of topics: read, followed, produced, replayed."""
