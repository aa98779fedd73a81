"""What each error is on the wire: its code, reason, metadata and details."""

from collections.abc import Iterator

import pytest
from cinema.v1 import error_reason_pb2
from google.rpc.error_details_pb2 import (
    ErrorInfo,
)

from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.transport.errors import describe
from tests.transport.error_details import Expected
from tests.transport.errors_of_calls import CALL_ERRORS
from tests.transport.errors_of_selling import SELLING_ERRORS

WIRE = CALL_ERRORS + SELLING_ERRORS


def errors_of(error: type[CinemaError]) -> Iterator[type[CinemaError]]:
    """Return the error classes of the program that have a reason."""
    for each in error.__subclasses__():
        if each.__module__.startswith("cinema_grpc."):
            if hasattr(each, "reason"):
                yield each
            yield from errors_of(each)


def test_every_reason_of_the_contract_has_an_error() -> None:
    promised = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name}
    assert {each.reason for each in errors_of(CinemaError)} == promised - {"UNSPECIFIED"}


def test_every_error_of_the_program_is_in_the_tables() -> None:
    assert {type(error) for error, *_ in WIRE} == set(errors_of(CinemaError))


@pytest.mark.parametrize(("error", "expected", "metadata", "details"), WIRE, ids=[each[1] for each in WIRE])
def test_what_an_error_is_on_the_wire(
    error: CinemaError, expected: str, metadata: dict[str, str], details: list[Expected]
) -> None:
    code, status = describe(error)
    assert f"{code.name} {error.reason}" == expected
    assert (status.code, status.message) == (code.value[0], error.message)
    info = ErrorInfo(reason=error.reason, domain="cinema.v1", metadata=metadata)
    wanted = [info, *(detail(error) for detail in details)]
    assert [type(each).DESCRIPTOR.full_name for each in wanted] == [each.TypeName() for each in status.details]
    for packed, each in zip(status.details, wanted, strict=True):
        found = type(each)()
        packed.Unpack(found)
        assert found == each


@pytest.mark.parametrize("error", [each[0] for each in WIRE], ids=[each[1] for each in WIRE])
def test_a_message_names_its_variable_parts(error: CinemaError) -> None:
    assert "{" not in error.message
    flags = {"charged", "scope"}
    fields = {"fields"}  # "descriptions" repeats them
    for name in error.metadata.keys() - flags - fields:
        value = error.metadata[name]
        assert value in error.message or value.replace(",", ", ") in error.message
