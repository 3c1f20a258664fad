"""Access tokens: what is issued, and that nothing else passes."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import ReauthRequired, Unauthorized
from hub.tokens.claims import LEEWAY, SET_BACK, AccessTokens, recent
from hub.tokens.keys import Algorithm, KeyRing, pem_key, secret_key
from tests.unit.key_files import OTHER_SECRET, PRIVATE, SECRET, private_pem, public_pem

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
END = NOW + timedelta(days=30)
ISSUER = "https://hub.example"
RINGS: dict[Algorithm, KeyRing] = {
    "HS256": KeyRing([secret_key(SECRET)]),
    **{name: KeyRing([pem_key(private_pem(key), name)]) for name, key in PRIVATE.items()},
}
TOKENS = AccessTokens(RINGS["HS256"], issuer=ISSUER)


def issue(tokens: AccessTokens, now: datetime = NOW, email: str | None = "li@example.cn") -> str:
    """Issue the token that these tests are about."""
    token, _ = tokens.issue(
        user_id=42, sid="the-sid", role="user", email=email, amr=["wechat"], auth_time=now, now=now, until=END
    )
    return token


def issue_until(until: datetime) -> tuple[str, int]:
    """Issue a token of a session that ends at *until*; with its life."""
    return TOKENS.issue(
        user_id=1, sid="s", role="user", email=None, amr=[], auth_time=NOW, now=NOW, until=until
    )


def payload(**changes: Any) -> dict[str, Any]:
    """Return good claims with *changes*; a change to None leaves the claim out."""
    issued = int(NOW.timestamp())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "sub": "42",
        "iat": issued,
        "nbf": issued,
        "exp": issued + 7200,
        "jti": "j",
        "sid": "the-sid",
        "role": "user",
        "amr": ["wechat"],
        "auth_time": issued,
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


def sign(claims: object, header: dict[str, Any] | None = None) -> str:
    """Sign anything with the very key of the ring."""
    full = {"typ": "at+jwt", "kid": RINGS["HS256"].signer.kid} | (header or {})
    return jwt.PyJWS().encode(json.dumps(claims).encode(), SECRET, "HS256", headers=full)


@pytest.mark.parametrize("algorithm", list(RINGS))
def test_issued_token_verifies(algorithm: Algorithm) -> None:
    """Each algorithm's token comes back as the claims that went in."""
    tokens = AccessTokens(RINGS[algorithm], issuer=ISSUER, audience="https://api.example")
    claims = tokens.verify(issue(tokens), NOW)
    assert (claims.user_id, claims.sid, claims.role, claims.email) == (42, "the-sid", "user", "li@example.cn")
    assert (claims.amr, claims.auth_time, claims.iat) == (
        ("wechat",),
        int(NOW.timestamp()),
        int(NOW.timestamp()),
    )


def test_header_and_claims_on_the_wire() -> None:
    """Header and claims have RFC 9068's names; absent e-mail and audience are left out."""
    token = issue(TOKENS, email=None)
    decoded = jwt.decode_complete(token, options={"verify_signature": False})
    assert decoded["header"] == {"typ": "at+jwt", "alg": "HS256", "kid": RINGS["HS256"].signer.kid}
    assert set(decoded["payload"]) == {
        "iss", "sub", "iat", "nbf", "exp", "jti", "sid", "role", "amr", "auth_time",
    }  # fmt: skip


def test_life_is_jittered_downwards() -> None:
    """Lives differ, none is over the limit, and none is more than five per cent under it."""
    lives = {issue_until(END)[1] for _ in range(200)}
    assert len(lives) > 1
    assert max(lives) <= 7200
    assert min(lives) >= 6840


def test_ttl_is_told_as_signed() -> None:
    """The life in the answer is the one in the token."""
    token, life = issue_until(END)
    claims = TOKENS.verify(token, NOW)
    assert claims.exp - claims.iat == life


def test_access_token_ends_with_its_session() -> None:
    """No access token outlives the session it belongs to."""
    until = NOW + timedelta(seconds=90, milliseconds=999)
    assert issue_until(until)[1] == 90
    assert TOKENS.verify(issue_until(until)[0], NOW).exp == int(NOW.timestamp()) + 90


def test_every_key_of_the_ring_verifies() -> None:
    """Tokens of an older key pass while it is in the ring, also of another algorithm."""
    old = issue(TOKENS)
    ring = KeyRing([pem_key(private_pem(PRIVATE["EdDSA"]), "EdDSA"), secret_key(SECRET)])
    assert AccessTokens(ring, issuer=ISSUER).verify(old, NOW).sid == "the-sid"
    with pytest.raises(Unauthorized, match="no key"):
        AccessTokens(KeyRing([secret_key(OTHER_SECRET)]), issuer=ISSUER).verify(old, NOW)


def test_the_well_made_token_of_these_tests_passes() -> None:
    """The refusals below are due to the change each one makes."""
    assert TOKENS.verify(sign(payload()), NOW).user_id == 42


@pytest.mark.parametrize(
    "claims",
    [
        payload(iss="https://other.example"),
        payload(aud="https://api.example"),
        *[payload(**{name: None}) for name in payload()],
        payload(sub=42),
        payload(sub="-1"),
        payload(sub="٤٢"),
        payload(sub="42\n"),
        payload(exp="9999999999"),
        payload(exp=9e9),
        payload(nbf=True),
        payload(amr="wechat"),
        payload(amr=[1]),
        payload(sid=["the-sid"]),
        payload(email=7),
        [],
        "text",
        7,
    ],
)
def test_wrong_claims_are_refused(claims: object) -> None:
    """A missing claim, one of the wrong type, another issuer or an unasked audience does not pass."""
    with pytest.raises(Unauthorized):
        TOKENS.verify(sign(claims), NOW)


def test_audience_is_demanded_where_one_is_set() -> None:
    """A token for nobody in particular does not pass where an audience is set."""
    with pytest.raises(Unauthorized, match="audience"):
        AccessTokens(RINGS["HS256"], issuer=ISSUER, audience="https://api.example").verify(issue(TOKENS), NOW)


@pytest.mark.parametrize("typ", [None, "", "JWT", "jwt", "dpop+jwt", 7, ["at+jwt"]])
def test_other_types_of_jwt_are_refused(typ: object) -> None:
    """A JWT that another back end signed with the shared secret is no access token."""
    with pytest.raises(Unauthorized, match="not an access token"):
        TOKENS.verify(sign(payload(), {"typ": typ}), NOW)


@pytest.mark.parametrize("typ", ["AT+JWT", "application/at+jwt"])
def test_media_type_may_be_written_out(typ: str) -> None:
    """RFC 9068 section 4 allows the full media type, in any case."""
    assert TOKENS.verify(sign(payload(), {"typ": typ}), NOW).user_id == 42


@pytest.mark.parametrize("kid", ["", "other", None, 7, ["x"]])
def test_unknown_kid_is_refused(kid: object) -> None:
    """A token that names no key of the ring is not tried against every key."""
    segments = sign(payload()).split(".")
    header = {"typ": "at+jwt", "alg": "HS256", "kid": kid}
    segments[0] = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    with pytest.raises(Unauthorized, match="no key"):
        TOKENS.verify(".".join(segments), NOW)


def test_unknown_critical_header_is_refused() -> None:
    """RFC 7515 section 4.1.11: what is marked critical and not understood does not pass."""
    with pytest.raises(Unauthorized):
        TOKENS.verify(sign(payload(), {"crit": ["exp"], "exp": 1}), NOW)


def test_life_ends_with_leeway() -> None:
    """A token passes until its end plus the leeway, and from as long before it as a clock may be set back."""
    token = sign(payload())
    begin = datetime.fromtimestamp(int(NOW.timestamp()), UTC)
    end = begin + timedelta(seconds=7200)
    for moment in (begin - timedelta(seconds=SET_BACK), end + timedelta(seconds=LEEWAY - 1)):
        assert TOKENS.verify(token, moment).user_id == 42
    for moment in (begin - timedelta(seconds=SET_BACK + 1), end + timedelta(seconds=LEEWAY)):
        with pytest.raises(Unauthorized, match=r"expired|not yet valid"):
            TOKENS.verify(token, moment)


@given(
    algorithm=st.sampled_from(list(RINGS)),
    claimed=st.sampled_from(
        ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "EdDSA", "ES256", "RS256", "PS256"]
    ),
    signature=st.sampled_from(["kept", "empty", "hmac of the public key"]),
)
def test_algorithms_never_mix(algorithm: Algorithm, claimed: str, signature: str) -> None:
    """Whatever `alg` a header claims, only the key's own algorithm over the very same text passes."""
    ring = RINGS[algorithm]
    tokens = AccessTokens(ring, issuer=ISSUER)
    _, body, kept = issue(tokens).split(".")
    header = {"typ": "at+jwt", "kid": ring.signer.kid, "alg": claimed}
    head = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    if signature == "kept":
        forged = kept
    elif signature == "empty":
        forged = ""
    else:
        # CVE-2015-9235: the verifier's public key, taken for an HMAC secret.
        secret = public_pem(PRIVATE[algorithm].public_key()) if algorithm in PRIVATE else b""
        made = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            f"{head}.{body}".encode(), secret
        )
        forged = urlsafe_b64encode(made).rstrip(b"=").decode()
    with pytest.raises(Unauthorized):
        tokens.verify(f"{head}.{body}.{forged}", NOW)


@given(position=st.integers(0, 10_000), character=st.sampled_from("Ax_-9.="))
def test_one_changed_character_is_refused(position: int, character: str) -> None:
    """No character of a token may be another one, in any of its segments."""
    token = sign(payload())
    position %= len(token)
    changed = token[:position] + character + token[position + 1 :]
    if changed == token:
        return
    with pytest.raises(Unauthorized):
        TOKENS.verify(changed, NOW)


@given(
    st.one_of(
        st.text(), st.text(alphabet="eyJ.AQ_-="), st.binary().map(lambda raw: urlsafe_b64encode(raw).decode())
    )
)
def test_garbage_is_refused(text: str) -> None:
    """Whatever is sent as a token raises Unauthorized and nothing else."""
    for token in (text, f"{text}.{text}.{text}"):
        with pytest.raises(Unauthorized):
            TOKENS.verify(token, NOW)


@pytest.mark.parametrize("header", ["[" * 3000, '{"kid":' * 500, "[]", "7", "\ud800"])
def test_hostile_headers_are_refused(header: str) -> None:
    """Deep nesting, other JSON than an object and broken UTF-8 end as Unauthorized."""
    segment = urlsafe_b64encode(header.encode(errors="surrogatepass")).rstrip(b"=").decode()
    with pytest.raises(Unauthorized):
        TOKENS.verify(f"{segment}.e30.AA", NOW)


def test_long_tokens_are_refused_unread() -> None:
    """The work for one token is bounded, even for one that is well signed."""
    with pytest.raises(Unauthorized, match="too long"):
        TOKENS.verify(sign(payload(role="x" * 5000)), NOW)


def test_refusal_tells_no_claim() -> None:
    """The reason, which goes to the log, quotes nothing out of the token."""
    token = sign(payload(email=["li@example.cn"]))
    with pytest.raises(Unauthorized) as refused:
        TOKENS.verify(token, NOW)
    assert "li@example.cn" not in refused.value.reason
    assert urlsafe_b64decode(token.split(".")[0] + "==").decode() not in refused.value.reason


def test_recent_proof() -> None:
    """A change that outlives the token is allowed for ten minutes after the last proof, and not longer."""
    proved = NOW.replace(microsecond=0)
    claims = TOKENS.verify(issue(TOKENS), NOW)
    recent(claims, proved + timedelta(seconds=600))
    with pytest.raises(ReauthRequired):
        recent(claims, proved + timedelta(seconds=600.001))
    with pytest.raises(ReauthRequired):
        recent(claims, proved + timedelta(seconds=61), 60)
