"""What implements the ports: the database, passwords, tokens, payments and the clock."""
