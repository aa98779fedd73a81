"""cinema.v1.AuthService: signing up and signing in."""
# ruff: noqa: N802 (the names are those of the protos)

from cinema.v1 import auth_service_pb2, auth_service_pb2_grpc

from cinema_grpc.application.accounts import Accounts
from cinema_grpc.transport.authentication import caller
from cinema_grpc.transport.rendering import render_tokens, render_user


class AuthServicer(auth_service_pb2_grpc.AuthServiceServicer):
    """Answers the calls of the AuthService."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def Register(
        self, request: auth_service_pb2.RegisterRequest, _context: object
    ) -> auth_service_pb2.RegisterResponse:
        """Make a customer's account and sign it in."""
        signed_in = await self._accounts.register(
            username=request.username, password=request.password, full_name=request.full_name, email=request.email
        )
        return auth_service_pb2.RegisterResponse(
            user=render_user(signed_in.user), tokens=render_tokens(signed_in.token)
        )

    async def Login(self, request: auth_service_pb2.LoginRequest, _context: object) -> auth_service_pb2.LoginResponse:
        """Sign a user in."""
        signed_in = await self._accounts.login(request.username, request.password)
        return auth_service_pb2.LoginResponse(user=render_user(signed_in.user), tokens=render_tokens(signed_in.token))

    async def GetCurrentUser(
        self, _request: auth_service_pb2.GetCurrentUserRequest, _context: object
    ) -> auth_service_pb2.GetCurrentUserResponse:
        """Tell who is calling."""
        return auth_service_pb2.GetCurrentUserResponse(user=render_user(await self._accounts.user(caller().user_id)))
