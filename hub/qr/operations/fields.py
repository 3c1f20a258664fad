"""What several declarations have in common."""

from typing import Annotated, Literal

from pydantic import StringConstraints

AT = "/api/auth/wechat"
SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
QrCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$")]
Door = Literal["h5", "official_account", "open_platform", "mini_program", "app"]
JsCode = Annotated[str, StringConstraints(min_length=1, max_length=512)]

SESSION_ID = {"session_id": "The attempt, by the secret id that its browser was given."}
QR_CODE = {"qr_code": "The code that the browser shows."}
