"""Access tokens: JWTs of the profile of RFC 9068, checked without any I/O.

Header `typ` at+jwt, `alg`, `kid`; claims as in `Claims`. Of what the profile demands there is no `client_id`,
and `aud` only where an audience is set. Checking follows RFC 8725: the key fixes the algorithm, the type is
explicit, issuer and audience are compared, and every claim must have its type.
"""

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import jwt
from jwt.algorithms import HMACAlgorithm
from jwt.utils import force_bytes
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.errors import ReauthRequired, Unauthorized
from hub.tokens.keys import KeyRing

TYPE = "at+jwt"
LEEWAY = 5  # seconds: the nodes share the database's clock, so only the way between them is left
# Seconds by which that clock may be set back: as only we issue tokens, one of the future is from before that.
SET_BACK = 600
JITTER = 0.05  # of the life, taken off: tokens handed out together do not all end together
MAX_LENGTH = 4096  # characters; longer ones are refused unread
REAUTH_AGE = 600  # seconds
CHALLENGE = {"www-authenticate": 'Bearer error="invalid_token"'}  # RFC 6750 section 3.1


class _PreparedSecret(HMACAlgorithm):
    """HMAC with a secret that `secret_key` has checked: the library checks it anew at each use."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return force_bytes(key)


# An instance of its own, so that `none` is not even registered.
_JWS = jwt.PyJWS(algorithms=["EdDSA", "ES256", "RS256"])
_JWS.register_algorithm("HS256", _PreparedSecret(HMACAlgorithm.SHA256))


class Claims(BaseModel):
    """What a verified access token says; times are POSIX seconds."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    iss: str
    sub: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$")]
    aud: str | None = None
    iat: int
    nbf: int
    exp: int
    jti: str
    sid: str
    role: str
    email: str | None = None
    amr: tuple[str, ...]
    auth_time: int

    @property
    def user_id(self) -> int:
        """The account's id, which `sub` spells in decimal."""
        return int(self.sub)


class AccessTokens:
    """Issues and verifies access tokens for one issuer; *ttl* is their longest life in seconds."""

    def __init__(self, keys: KeyRing, *, issuer: str, audience: str | None = None, ttl: int = 7200) -> None:
        self.ttl = ttl
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._header = {"typ": TYPE, "kid": keys.signer.kid}

    def issue(
        self,
        *,
        user_id: int,
        sid: str,
        role: str,
        email: str | None,
        amr: Sequence[str],
        auth_time: datetime,
        now: datetime,
        until: datetime,
    ) -> tuple[str, int]:
        """Return a signed token and its life in seconds: *ttl* less up to five per cent, at most *until*."""
        life = self.ttl - secrets.randbelow(int(self.ttl * JITTER) + 1)
        life = min(life, int((until - now).total_seconds()))
        issued = int(now.timestamp())
        claims = Claims(
            iss=self._issuer,
            sub=str(user_id),
            aud=self._audience,
            iat=issued,
            nbf=issued,
            exp=issued + life,
            jti=secrets.token_urlsafe(16),
            sid=sid,
            role=role,
            email=email,
            amr=tuple(amr),
            auth_time=int(auth_time.timestamp()),
        )
        payload = claims.model_dump_json(exclude_none=True).encode()
        signer = self._keys.signer
        return _JWS.encode(payload, self._keys.signing, signer.algorithm, headers=self._header), life

    def verify(self, token: str, now: datetime) -> Claims:
        """Return the claims of a token that this issuer signed and that is valid at *now*.

        Raises Unauthorized for anything else; what was wrong is only in its reason.
        """
        try:
            return self._verify(token, now.timestamp())
        except ValidationError:
            # The library's text would quote the claims.
            raise Unauthorized("access token: wrong claims", headers=CHALLENGE) from None
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise Unauthorized(f"access token: {error}", headers=CHALLENGE) from None

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the JWK Set (RFC 7517) of the ring's public keys; a secret has none."""
        return self._keys.jwks()

    def _verify(self, token: str, now: float) -> Claims:
        if len(token) > MAX_LENGTH:
            raise ValueError("too long")
        key = self._keys.find(_unverified_header(token).get("kid"))
        if key is None:
            raise ValueError("no key of this ring")
        verified = _JWS.decode_complete(token, key.verifying, algorithms=[key.algorithm])
        typ = verified["header"].get("typ")
        # RFC 9068 section 4: the media type may be written out.
        if not isinstance(typ, str) or typ.lower().removeprefix("application/") != TYPE:
            raise ValueError("not an access token")
        claims = Claims.model_validate_json(verified["payload"])
        if claims.iss != self._issuer or claims.aud != self._audience:
            raise ValueError("another issuer or audience")
        if now >= claims.exp + LEEWAY:
            raise ValueError("expired")
        if now < max(claims.nbf, claims.iat) - SET_BACK:
            raise ValueError("not yet valid")
        return claims


def recent(claims: Claims, now: datetime, seconds: int = REAUTH_AGE) -> None:
    """Raise ReauthRequired where the person last proved who it is more than *seconds* before *now*.

    A change that outlives the token (a binding, a password, the account's end) demands it, so that a stolen
    access token cannot make it.
    """
    age = now.timestamp() - claims.auth_time
    if age > seconds:
        raise ReauthRequired(f"the last proof is {age:.0f} s old")


def _unverified_header(token: str) -> Mapping[str, Any]:
    """Read the header for its `kid` only; the library reads it again when it verifies."""
    segment = token.partition(".")[0]
    header = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    return header
