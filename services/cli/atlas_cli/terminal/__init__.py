"""What a command prints, and how it says what went wrong."""
