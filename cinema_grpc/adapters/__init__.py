"""The outside world behind the ports: the database, passwords, tokens, payments and the clock."""
