"""Atlas Avro: what each Avro type means, in JSON, Python, PostgreSQL and Parquet; no I/O."""
