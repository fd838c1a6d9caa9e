"""A read model in PostgreSQL: generations, their rows and the SQL for both."""
