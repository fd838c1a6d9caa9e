"""Records that wait: which do and why, and what people may ask about them."""
