"""The services: the box office, payments, accounts, the catalog, reports and background tasks; and their ports."""
