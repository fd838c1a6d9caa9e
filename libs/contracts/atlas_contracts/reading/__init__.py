"""What other producers and older schemas wrote, read into Python values: functions generated for a schema."""
