"""run(serve), settings, logs, metrics, traces, probes, heartbeat."""
