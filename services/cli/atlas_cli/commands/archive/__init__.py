"""The archive, what can be made of it, and what it puts back."""
