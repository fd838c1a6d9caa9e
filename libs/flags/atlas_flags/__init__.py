"""Feature flags: declared with a type, evaluated by OpenFeature, changed without a restart."""
