"""The loop that every consumer runs: poll, handle, commit; where it goes on, and why it may stand still."""
