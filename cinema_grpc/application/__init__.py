"""What waits and what decides when: the box office, accounts, the catalog and the background tasks, behind ports."""
