"""What a projection is, and the pure work of one: events into rows, given/when/then, time windows. No I/O."""
