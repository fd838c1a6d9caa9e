"""The archive as people work with it: exports and batch jobs."""
