"""The doors by which a phone comes in, as the QR sign-in sees them."""

from hub.wechat.client import App, Person, WeChatClient

_LANGUAGES = {"zh-CN": "zh_CN", "en": "en"}


class WebConsent:
    """The in-app door `h5`: WeChat's own browser, its consent page, and a code that comes back."""

    def __init__(self, client: WeChatClient, app: App, redirect_uri: str, scope: str) -> None:
        self._client = client
        self._app = app
        self._redirect_uri = redirect_uri
        self._scope = scope

    def consent_url(self, state: str) -> str:
        """Return the consent page's address with this `state`."""
        return self._client.consent_url(self._app, self._redirect_uri, self._scope, state)

    async def person(self, code: str, language: str) -> Person:
        """Return who consented. Raises WeChatError; the code is spent either way."""
        return await self._client.person(self._app, code, _LANGUAGES[language])


class WebsiteConsent:
    """The door `open_platform`: WeChat's own page for websites, in the browser that wants in."""

    def __init__(self, client: WeChatClient, app: App, redirect_uri: str) -> None:
        self._client = client
        self._app = app
        self._redirect_uri = redirect_uri

    def qrconnect_url(self, state: str) -> str:
        """Return the address of WeChat's page with this `state`."""
        return self._client.qrconnect_url(self._app, self._redirect_uri, state)

    async def person(self, code: str, language: str) -> Person:
        """Return who consented. Raises WeChatError; the code is spent either way."""
        return await self._client.person(self._app, code, _LANGUAGES[language])
