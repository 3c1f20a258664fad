"""`hub sandbox`."""

import sys

import click

from hub.cli.settings import load, refuse
from hub.sandbox import sandbox_for
from hub.server import Server, config
from hub.settings import Settings, SettingsError


@click.command("sandbox")
@click.option("--host", default="127.0.0.1", show_default=True, help="Listening address.")
@click.option(
    "--port", default=8001, show_default=True, type=click.IntRange(1, 65535), help="Listening port."
)
def command(host: str, port: int) -> None:
    """Serve the stand-in for WeChat alone, for the hub whose settings these are.

    It has the app ids of the settings, stand-ins where there are none, and prints what the hub needs to know.
    """
    # Without addresses of WeChat the settings know the stand-in apps, whatever the hub itself is pointed at.
    unset = {"wechat_api_url": "", "wechat_open_url": "", "wechat_mp_url": ""}
    hub = load(**unset)
    if hub.production:
        refuse(SettingsError(["HUB_ENV: the sandbox does not run in production"]))
    own = load(**unset, host=host, port=port, public_url="")
    click.echo("\n".join(_lines(hub, own.base_url)))
    app = sandbox_for(hub, public_url=own.base_url)

    async def drain(_: float) -> None:
        app.state.release()

    server = Server(config(app, host=host, port=port, proxies=[]), drain)
    server.run()
    sys.exit(0 if server.started else 3)


def _lines(hub: Settings, address: str) -> list[str]:
    lines = [
        f"Simulated phone  {address}/phone",
        f"Pushes go to     {hub.loopback_url}/api/auth/wechat/push",
        "Settings of the hub:",
        f"WECHAT_API_URL={address}",
        f"WECHAT_OPEN_URL={address}",
        f"WECHAT_MP_URL={address}",
    ]
    account = hub.official_account
    apps = {
        "WECHAT_H5_APP_ID": hub.h5_app,
        "WECHAT_APP_ID": hub.website_app,
        "WECHAT_MINI_APP_ID": hub.mini_app,
        "WECHAT_OA_APP_ID": account[:2] if account else ("", ""),
    }
    for name, (appid, secret) in apps.items():
        lines += [f"{name}={appid}", f"{name.removesuffix('ID')}SECRET={secret}"]
    if account:
        lines += [
            f"WECHAT_OA_TOKEN={account.token}",
            *(f"WECHAT_OA_AES_KEY={key}" for key in account.aes_keys[:1]),
        ]
    return lines
