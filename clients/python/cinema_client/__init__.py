"""A client of the cinema service: sign-in, safe repeats, errors with types, pages and streams that resume."""

from cinema_client import errors
from cinema_client._async_client import AsyncClient
from cinema_client._client import Client
from cinema_client._error import CinemaError, FieldViolation
from cinema_client._session import Tokens

__all__ = ["AsyncClient", "CinemaError", "Client", "FieldViolation", "Tokens", "errors"]
