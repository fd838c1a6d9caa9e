"""The types of columns, and what a row holds in each."""
