// The API as this page calls it: clients over gRPC-Web, the guest's session, retries, and reasons of errors.
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { AuthService } from "../gen/cinema/v1/auth_service_pb";
import { BookingService } from "../gen/cinema/v1/booking_service_pb";
import { CatalogService } from "../gen/cinema/v1/catalog_service_pb";
import { ShowtimeService } from "../gen/cinema/v1/showtime_service_pb";
import { TicketService } from "../gen/cinema/v1/ticket_service_pb";
import type { Tokens } from "../gen/cinema/v1/user_pb";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb";

const baseUrl = document.querySelector<HTMLMetaElement>("meta[name=api]")!.content;

const open = createGrpcWebTransport({ baseUrl, defaultTimeoutMs: 10_000 });
export const catalog = createClient(CatalogService, open);
export const showtimes = createClient(ShowtimeService, open);
const auth = createClient(AuthService, open);

const authorize: Interceptor = (next) => async (request) => {
  const session = stored() ?? (await renewed(undefined));
  request.header.set("authorization", `Bearer ${session.accessToken}`);
  try {
    return await next(request);
  } catch (error) {
    if (ConnectError.from(error).code !== Code.Unauthenticated) throw error;
    request.header.set("authorization", `Bearer ${(await renewed(session)).accessToken}`);
    return next(request);
  }
};
const signedIn = createGrpcWebTransport({ baseUrl, interceptors: [authorize], defaultTimeoutMs: 40_000 });
export const bookings = createClient(BookingService, signedIn);
export const tickets = createClient(TicketService, signedIn);

// The session lasts as long as the tab. A duplicate of the tab has the same refresh token, which only one of them can
// use: the other one starts a session as another guest.
interface Session {
  accessToken: string;
  refreshToken: string;
}
const KEY = "cinema.session";
let renewal: Promise<Session> | undefined; // refresh tokens rotate, so two calls must not use the same one

/** Return whether this tab has a session, so that there can be bookings to list. */
export function hasSession(): boolean {
  return stored() !== undefined;
}

function stored(): Session | undefined {
  const text = sessionStorage.getItem(KEY);
  return text === null ? undefined : JSON.parse(text);
}

/** Return a session after the one whose access token was refused: what another call has got by now, or a new one. */
async function renewed(refused: Session | undefined): Promise<Session> {
  const session = stored();
  if (session !== undefined && session.accessToken !== refused?.accessToken) return session;
  renewal ??= renew(session).finally(() => (renewal = undefined));
  return renewal;
}

async function renew(session: Session | undefined): Promise<Session> {
  let tokens: Tokens | undefined;
  if (session !== undefined) {
    try {
      tokens = (await auth.refreshTokens({ refreshToken: session.refreshToken })).tokens;
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unauthenticated) throw error;
    }
  }
  tokens ??= await registerGuest();
  const { accessToken, refreshToken } = tokens;
  sessionStorage.setItem(KEY, JSON.stringify({ accessToken, refreshToken }));
  return { accessToken, refreshToken };
}

// A shop would ask for a name and an email here, or call Login. The password is not kept: the tokens are enough.
async function registerGuest(): Promise<Tokens> {
  const username = `guest-${crypto.randomUUID()}`;
  const guest = { username, password: crypto.randomUUID(), fullName: "Guest", email: `${username}@example.com` };
  return (await auth.register(guest)).tokens!;
}

const REPEATED = new Set([Code.Unavailable, Code.DeadlineExceeded, Code.Unknown]);

/**
 * Make a call that changes something, with a request_id, and repeat it with the same one while its outcome is unknown.
 * Throws what the last of four calls threw.
 */
export async function once<Response>(call: (requestId: string) => Promise<Response>): Promise<Response> {
  const requestId = crypto.randomUUID();
  for (let tried = 1; ; tried++) {
    try {
      return await call(requestId);
    } catch (error) {
      if (tried === 4 || !REPEATED.has(ConnectError.from(error).code)) throw error;
      await pause(250 * 2 ** tried);
    }
  }
}

/** Wait for some milliseconds. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Return the reason of an error, such as "SEATS_UNAVAILABLE", its metadata, and the message for developers. */
export function reasonOf(error: unknown): { reason: string; metadata: Record<string, string>; message: string } {
  const failure = ConnectError.from(error);
  const [info] = failure.findDetails(ErrorInfoSchema);
  return { reason: info?.reason ?? "", metadata: info?.metadata ?? {}, message: failure.rawMessage };
}
