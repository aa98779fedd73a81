"""What Alembic runs: the migrations, on the connection that it was handed."""

from alembic import context

from cinema_grpc.adapters.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes most things about a table only by copying it
    transaction_per_migration=False,
)
context.run_migrations()
