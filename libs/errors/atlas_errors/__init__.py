"""What becomes of work that failed, decided in one place; and how it is tried again."""
