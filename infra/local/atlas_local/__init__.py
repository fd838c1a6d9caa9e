"""The embedded mesh: real Kafka, PostgreSQL, Valkey and S3 without Docker or root."""
