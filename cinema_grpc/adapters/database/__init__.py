"""The stores, in SQLAlchemy Core: one implementation for both databases."""
