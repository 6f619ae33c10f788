"""Tables: their columns, indexes and constraints; ``store.db.schema`` exports them all."""
