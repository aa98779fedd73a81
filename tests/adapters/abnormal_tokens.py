"""Invalid tokens that the right key has signed, or that were changed after."""

from tests.adapters.forgeries import ABSENT, CLAIMS, SECONDS, Forger, by_secret, segment

OTHER_ALGORITHMS = ("HS256", "HS384", "RS256", "PS256", "ES256", "ES256K", "ES384", "EdDSA", "Ed25519", "Ed448", "dir")


def respelled(good: str) -> str:
    """Return a valid token with an unused bit of its signature's last character set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return good[:-1] + alphabet[alphabet.index(good[-1]) + 1]


def abnormal(forger: Forger) -> dict[str, str]:
    """Return invalid tokens by what is wrong with them."""
    kinds = (_texts, _algorithms, _headers, _other_signatures, _identities, _times, _payloads)
    return {name: text for kind in kinds for name, text in kind(forger).items()}


def _texts(forger: Forger) -> dict[str, str]:
    """Texts that are not tokens, and changed texts of tokens."""
    good = forger.good
    head, body, signature = good.split(".")
    return {
        "empty": "",
        "a dot": ".",
        "two dots": "..",
        "words": "not a token",
        "one part": head,
        "two parts": f"{head}.{body}",
        "no signature": f"{head}.{body}.",
        "no header": f".{body}.{signature}",
        "no payload": f"{head}..{signature}",
        "four parts": f"{good}.{signature}",
        "five parts": f"{good}.{signature}.{signature}",
        "truncated": good[:-1],
        "half a signature": good[:-21],
        "padded": f"{good}=",
        "a blank before": f" {good}",
        "a line end after": f"{good}\n",
        "the scheme before": f"Bearer {good}",
        "signature spelled otherwise": respelled(good),
        "junk in the signature": f"{head}.{body}.{signature[:20]}!{signature[20:]}",
        "the other base64": forger.signed(forger.header, CLAIMS | {"x": "~~~???>>>"})
        .replace("-", "+")
        .replace("_", "/")
        + "+",
        "not ASCII": good.replace("e", "é", 1),
        "lone surrogate": f"{good}\udc80",
        "NUL": f"{good}\0",
    }


def _algorithms(forger: Forger) -> dict[str, str]:
    """Headers with another algorithm than the key's, or none."""
    header, body = forger.header, forger.good.split(".")[1]

    def unsigned(**changes: object) -> str:
        return f"{segment(header | changes)}.{body}."

    return {
        "alg none with a signature of nothing": unsigned(alg="none") + segment(b""),
        **{f"alg {name}, signed": forger.with_header(alg=name) for name in ("none", "None", "NONE", "nOnE", "")},
        **{f"alg {name}": unsigned(alg=name) for name in ("none", "None", "NONE", "nOnE", "")},
        "alg HS512": by_secret(digest="sha512").signed(header | {"alg": "HS512"}, CLAIMS),
        "alg HS384": by_secret(digest="sha384").signed(header | {"alg": "HS384"}, CLAIMS),
        **{f"alg {name}": forger.with_header(alg=name) for name in OTHER_ALGORITHMS if name != header["alg"]},
        "alg in lower case": forger.with_header(alg=header["alg"].lower()),
        "alg missing": forger.with_header(alg=ABSENT),
        "alg null": forger.with_header(alg=None),
        "alg a list": forger.with_header(alg=[header["alg"]]),
        "alg an object": forger.with_header(alg={header["alg"]: 1}),
    }


def _headers(forger: Forger) -> dict[str, str]:
    """Headers with other odd parameters, or of an odd form."""
    header = forger.header
    _, body, signature = forger.good.split(".")
    return {
        "typ missing": forger.with_header(typ=ABSENT),
        "typ JWT": forger.with_header(typ="JWT"),
        "typ of an ID token": forger.with_header(typ="id+jwt"),
        "typ null": forger.with_header(typ=None),
        "typ a list": forger.with_header(typ=["at+jwt"]),
        "typ with a tail": forger.with_header(typ="at+jwt; x"),
        "kid a number": forger.with_header(kid=1),
        "kid a list": forger.with_header(kid=["../../dev/null"]),
        "kid null": forger.with_header(kid=None),
        "kid of an empty file": by_secret(b"").signed(header | {"kid": "../../../../dev/null"}, CLAIMS),
        "key in the header": by_secret(b"k" * 32).signed(
            header | {"jwk": {"kty": "oct", "k": segment(b"k" * 32)}}, CLAIMS
        ),
        "crit unknown": forger.with_header(crit=["exp2"], exp2=1),
        "crit empty": forger.with_header(crit=[]),
        "crit no list": forger.with_header(crit="exp"),
        "b64 false": forger.with_header(b64=False, crit=["b64"]),
        "header a list": forger.signed([header], CLAIMS),
        "header a string": forger.signed(header["alg"], CLAIMS),
        "header no JSON": forger.signed(b"{alg:HS256}", CLAIMS),
        "header no text": forger.signed(b"\xff\xfe\xfd", CLAIMS),
        "header nested without end": f"{segment(b'[' * 2500)}.{body}.{signature}",
    }


def _other_signatures(forger: Forger) -> dict[str, str]:
    """Well-formed parts with the signature of something else."""
    header = forger.header
    head, body, signature = forger.good.split(".")
    return {
        "another secret": by_secret(b"x" * 32).signed(header, CLAIMS),
        "empty secret": by_secret(b"").signed(header, CLAIMS),
        **{f"signature of {size} zeros": f"{head}.{body}.{segment(bytes(size))}" for size in (1, 32, 64, 512)},
        "another's payload": f"{head}.{segment(CLAIMS | {'role': 'STAFF'})}.{signature}",
        "another's header": f"{segment(header | {'kid': 'x'})}.{body}.{signature}",
        "parts swapped": f"{body}.{head}.{signature}",
    }


def _identities(forger: Forger) -> dict[str, str]:
    """Invalid claims of issuer, audience, subject and role."""
    return {
        "iss another": forger.with_claims(iss="https://evil.example"),
        "iss a list": forger.with_claims(iss=["cinema"]),
        "iss a longer name": forger.with_claims(iss="cinema "),
        "aud another": forger.with_claims(aud="cinema.v2"),
        "aud a list without us": forger.with_claims(aud=["cinema", "v1"]),
        "aud empty": forger.with_claims(aud=[]),
        "aud a number": forger.with_claims(aud=1),
        "aud an object": forger.with_claims(aud={"cinema.v1": 1}),
        **{f"{name} missing": forger.with_claims(**{name: ABSENT}) for name in CLAIMS if name != "client_id"},
        **{f"{name} null": forger.with_claims(**{name: None}) for name in CLAIMS if name != "client_id"},
        "sub a number": forger.with_claims(sub=1),
        "sub empty": forger.with_claims(sub=""),
        "sub too long": forger.with_claims(sub="x" * 65),
        "sub with NUL": forger.with_claims(sub="user\0"),
        "sub half a character": forger.with_claims(sub="\ud800"),
        "jti a number": forger.with_claims(jti=1),
        "role unknown": forger.with_claims(role="OWNER"),
        "role in lower case": forger.with_claims(role="staff"),
        "role a list": forger.with_claims(role=["STAFF"]),
        "role an object": forger.with_claims(role={"STAFF": True}),
    }


def _times(forger: Forger) -> dict[str, str]:
    """Invalid claims of times."""
    return {
        "exp a string": forger.with_claims(exp=str(SECONDS + 3600)),
        "exp a fraction": forger.with_claims(exp=SECONDS + 3600.5),
        "exp a whole float": forger.with_claims(exp=float(SECONDS + 3600)),
        "exp NaN": forger.with_claims(exp=float("nan")),
        "exp infinite": forger.with_claims(exp=float("inf")),
        "exp true": forger.with_claims(exp=True),
        "exp a list": forger.with_claims(exp=[SECONDS + 3600]),
        "exp beyond the calendar": forger.with_claims(exp=10**15),
        "exp beyond any number": forger.with_claims(exp=10**400),
        "exp before the calendar": forger.with_claims(exp=-(10**15)),
        "iat a string": forger.with_claims(iat=str(SECONDS)),
        "iat a fraction": forger.with_claims(iat=SECONDS + 0.5),
        "iat NaN": forger.with_claims(iat=float("nan")),
        "iat before the calendar": forger.with_claims(iat=-62135596800),
        "iat ahead": forger.with_claims(iat=SECONDS + 61),
        "nbf ahead": forger.with_claims(nbf=SECONDS + 1),
        "nbf a string": forger.with_claims(nbf=str(SECONDS)),
        "nbf null": forger.with_claims(nbf=None),
        "nbf beyond the calendar": forger.with_claims(nbf=10**15),
    }


def _payloads(forger: Forger) -> dict[str, str]:
    """Payloads that are not claims, or too large."""
    header, good = forger.header, forger.good
    return {
        "payload a list": forger.signed(header, [CLAIMS]),
        "payload a string": forger.signed(header, "claims"),
        "payload a number": forger.signed(header, 1),
        "payload null": forger.signed(header, None),
        "payload empty": forger.signed(header, b""),
        "payload no JSON": forger.signed(header, b"{sub:1}"),
        "payload no text": forger.signed(header, b"\xff\xfe\xfd"),
        "payload nested without end": forger.signed(header, b"[" * 2500),
        "a token in a token": forger.signed(header | {"cty": "JWT"}, good.encode()),
        "a number of 3000 digits": forger.signed(header, b'{"exp":' + b"9" * 2800 + b"}"),
        "huge": forger.with_claims(sub="x" * 5000),
        "good but for its size": forger.with_claims(padding="x" * 3000),
        "a megabyte of dots": "." * 1_000_000,
    }
