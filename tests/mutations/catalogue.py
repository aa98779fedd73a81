"""Known bugs, as edits that put them back, and the tests of which at least one must notice each."""

from tests.mutations.bugs import application, database, desk, domain, door, payments, server, stores

MUTATIONS = tuple(
    each for part in (application, payments, domain, desk, door, database, stores, server) for each in part.MUTATIONS
)
