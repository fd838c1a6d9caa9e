"""Atlas contracts: schemas, codec, topics, headers; no network."""
