"""Read models: compared, rebuilt, and the records that wait of them."""
