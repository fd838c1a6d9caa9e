"""What a service says of itself: logs, traces, heartbeats, its clock."""
