"""cinema.v1.AuthService: registration, sign-in, sessions and sign-out."""
# ruff: noqa: N802 (the names are those of the protos)

from cinema.v1 import auth_service_pb2, auth_service_pb2_grpc

from cinema_grpc.application.account_ports import AccessTokens
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.sessions import Sessions
from cinema_grpc.transport.call import client_of, principal
from cinema_grpc.transport.handlers import Context
from cinema_grpc.transport.rendering import render_signing_key, render_tokens, render_user


class AuthServicer(auth_service_pb2_grpc.AuthServiceServicer):
    """Answers the calls of the AuthService."""

    def __init__(self, accounts: Accounts, sessions: Sessions, tokens: AccessTokens) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._tokens = tokens

    async def Register(
        self, request: auth_service_pb2.RegisterRequest, context: Context
    ) -> auth_service_pb2.RegisterResponse:
        """Make a customer's account and sign it in."""
        signed_in = await self._accounts.register(
            username=request.username,
            password=request.password,
            full_name=request.full_name,
            email=request.email,
            network=client_of(context.peer()).network,
        )
        return auth_service_pb2.RegisterResponse(
            user=render_user(signed_in.user), tokens=render_tokens(signed_in.tokens)
        )

    async def Login(self, request: auth_service_pb2.LoginRequest, context: Context) -> auth_service_pb2.LoginResponse:
        """Sign a user in."""
        signed_in = await self._accounts.login(request.username, request.password, client_of(context.peer()).network)
        return auth_service_pb2.LoginResponse(user=render_user(signed_in.user), tokens=render_tokens(signed_in.tokens))

    async def GetCurrentUser(
        self, _request: auth_service_pb2.GetCurrentUserRequest, _context: object
    ) -> auth_service_pb2.GetCurrentUserResponse:
        """Return the account of the caller."""
        return auth_service_pb2.GetCurrentUserResponse(
            user=render_user(await self._accounts.principals.user(principal().user_id))
        )

    async def RefreshTokens(
        self, request: auth_service_pb2.RefreshTokensRequest, _context: object
    ) -> auth_service_pb2.RefreshTokensResponse:
        """Exchange a refresh token for new tokens."""
        tokens = await self._sessions.refresh(request.refresh_token)
        return auth_service_pb2.RefreshTokensResponse(tokens=render_tokens(tokens))

    async def Logout(
        self, request: auth_service_pb2.LogoutRequest, _context: object
    ) -> auth_service_pb2.LogoutResponse:
        """End a session."""
        await self._sessions.end(request.refresh_token)
        return auth_service_pb2.LogoutResponse()

    async def ChangePassword(
        self, request: auth_service_pb2.ChangePasswordRequest, context: Context
    ) -> auth_service_pb2.ChangePasswordResponse:
        """Replace the caller's password, and end the other sessions."""
        signed_in = await self._accounts.change_password(
            principal().user_id, request.current_password, request.new_password, client_of(context.peer()).network
        )
        return auth_service_pb2.ChangePasswordResponse(tokens=render_tokens(signed_in.tokens))

    async def ListSigningKeys(
        self, _request: auth_service_pb2.ListSigningKeysRequest, _context: object
    ) -> auth_service_pb2.ListSigningKeysResponse:
        """Publish what access tokens can be verified with."""
        keys = map(render_signing_key, self._tokens.public_keys())
        return auth_service_pb2.ListSigningKeysResponse(keys=keys)
