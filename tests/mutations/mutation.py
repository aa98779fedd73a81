"""What a known bug is, and the folders and tests that many of them name."""

from dataclasses import dataclass

APPLICATION = "cinema_grpc/application"
DATABASE = "cinema_grpc/adapters/database"
DOMAIN = "cinema_grpc/domain"
TRANSPORT = "cinema_grpc/transport"
AUDIT = "tests/application/test_audit.py::test_each_breach_is_found"
BATCHES = f"{APPLICATION}/box_office"
BOX_OFFICE = "tests/application/test_box_office.py"
CONTENDED = "tests/store/test_contended_showtimes.py"
FAULTS = "tests/application/test_box_office_faults.py"
IDEMPOTENCY = "tests/application/test_idempotency.py"
LISTINGS = "tests/application/test_listings.py"
QUEUE = "tests/application/test_queue.py"
SIMULATION = "tests/proofs/test_simulation.py::test_many_worlds"


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of a file, which stands there once, and what takes its place."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug: what is wrong, the edits that make it so, and tests of which at least one must fail then."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def mutation(name: str, path: str, old: str, new: str, *tests: str) -> Mutation:
    """Make a mutation of one edit."""
    return Mutation(name, (Edit(path, old, new),), tests)
