"""The container format, manifests, object store."""
