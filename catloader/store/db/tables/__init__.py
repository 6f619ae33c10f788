"""Tables: their columns, indexes and constraints; ``store.db.schema`` has them all."""
