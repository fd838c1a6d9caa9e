"""What is so, from what was heard and read: pure, time comes in as an argument."""
