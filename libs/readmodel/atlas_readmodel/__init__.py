"""Read tables, positions, generations, cache: writer and reader."""
