// Checks the codes of tickets offline, with the public keys of ListTicketKeys alone. See docs/tickets.md.
import { createPublicKey, verify as verifySignature } from "node:crypto";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const TYPE_CHARACTERS = "\0abcdefghijklmnopqrstuvwxyz0123456789-~";
const CONTEXT = Buffer.from("cinema.v1 ticket\0");
const VERSION = 2;
const SIGNATURE_BYTES = 64;
const FIXED_BYTES = 42;
const MOST_TYPE_BYTES = 12;

/** What every code gets that this cinema did not issue. */
export class Forged extends Error {}

/** Checks codes with the keys of a cinema. */
export class Verifier {
  #byId = new Map();

  /** Takes the answer of ListTicketKeys as JSON: {keys: [...]}. */
  constructor({ keys = [] }) {
    for (const key of keys) {
      if (key.kty !== "OKP" || key.crv !== "Ed25519" || key.alg !== "EdDSA") continue;
      const id = Buffer.from(key.kid, "base64url").subarray(0, 2).toString("hex");
      const { kty, crv, x } = key;
      const listed = this.#byId.get(id) ?? [];
      this.#byId.set(id, [...listed, createPublicKey({ key: { kty, crv, x }, format: "jwk" })]);
    }
  }

  /** Returns what a code says; throws Forged. The code must be exactly as it was scanned. */
  verify(code) {
    const data = decodeBase45(code);
    if (data.length <= FIXED_BYTES + SIGNATURE_BYTES) throw new Forged();
    const content = data.subarray(0, -SIGNATURE_BYTES);
    const signature = data.subarray(-SIGNATURE_BYTES);
    const signed = Buffer.concat([CONTEXT, content]);
    const keys = this.#byId.get(content.subarray(4, 6).toString("hex")) ?? [];
    if (!keys.some((key) => verifySignature(null, signed, key, signature))) throw new Forged();
    return readContent(content);
  }
}

function readContent(content) {
  const packed = content.subarray(FIXED_BYTES);
  if (content[0] !== VERSION || packed.length % 2 || packed.length > MOST_TYPE_BYTES) throw new Forged();
  const seat = content.readUIntBE(1, 3);
  const row = Math.floor(seat / 1000);
  const number = seat % 1000;
  if (row < 1 || row > 702 || number === 0) throw new Forged();
  const type = unpackType(packed);
  return {
    ticketId: uuid(content.subarray(6, 22)),
    showtimeId: uuid(content.subarray(22, 38)),
    seat: `${rowLabel(row)}${number}`,
    // The start when the ticket was issued. The showtime may have been moved since.
    start: new Date(content.readUInt32BE(38) * 1000),
    ticketType: type.replace(/~$/, ""),
    typeIsCutOff: type.endsWith("~"),
  };
}

/** Returns A for 1, Z for 26, AA for 27 and ZZ for 702. */
function rowLabel(row) {
  const letter = (index) => String.fromCharCode(65 + index);
  const tens = Math.floor((row - 1) / 26);
  return `${tens ? letter(tens - 1) : ""}${letter((row - 1) % 26)}`;
}

/** Returns the three characters in each two bytes. */
function unpackType(packed) {
  let text = "";
  for (let position = 0; position < packed.length; position += 2) {
    const value = packed.readUInt16BE(position);
    for (const digit of [Math.floor(value / 1600), Math.floor(value / 40) % 40, value % 40]) {
      if (digit >= TYPE_CHARACTERS.length) throw new Forged();
      text += TYPE_CHARACTERS[digit];
    }
  }
  const name = text.replace(/\0+$/, "");
  if (text.length - name.length > 2 || !/^[a-z][a-z0-9-]*~?$/.test(name)) throw new Forged();
  return name;
}

function decodeBase45(text) {
  if (text.length % 3) throw new Forged();
  const data = Buffer.alloc((text.length / 3) * 2);
  for (let position = 0; position < text.length; position += 3) {
    const digits = [0, 1, 2].map((offset) => ALPHABET.indexOf(text[position + offset]));
    const value = digits[0] + digits[1] * 45 + digits[2] * 2025;
    if (digits.includes(-1) || value > 0xffff) throw new Forged();
    data.writeUInt16BE(value, (position / 3) * 2);
  }
  return data;
}

function uuid(bytes) {
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
