"""Which objects there are and which of them count: names, manifests, their order."""
