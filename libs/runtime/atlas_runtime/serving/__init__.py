"""The HTTP server of every service: probes, bounds and guards."""
