"""The history of the schema, as Alembic migrations that ship in the package."""
