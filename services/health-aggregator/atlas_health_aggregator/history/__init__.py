"""A week of lag by group and topic, downsampled, kept on a topic and answered as JSON."""
