"""`hub doctor`."""

import asyncio
import sys
from datetime import UTC, datetime

import click

from hub.background import create_senders
from hub.cli.settings import load, refuse
from hub.ops import doctor
from hub.services import create_services
from hub.settings import SettingsError
from hub.wechat.client import App


@click.command("doctor")
def command() -> None:
    """Look at settings, database, Redis, WeChat and senders, and say what to mend; exits with 1 if any."""
    settings = load()
    try:
        create_services(settings)  # which reads the files that the settings name
    except SettingsError as error:
        refuse(error)
    for line in settings.stand_ins:
        click.echo(f"note     {line}")
    account = settings.official_account
    if account and settings.wechat_oa_confirm == "auto":
        click.echo("note     WECHAT_OA_CONFIRM: with auto whoever is made to scan is signed in elsewhere")

    async def examine() -> bool:
        http, senders = create_senders(settings, lambda: datetime.now(UTC))
        await http.start()
        well = True
        async for finding in doctor.examine(
            settings.database_url,
            settings.redis,
            settings.redis_key_prefix,
            None if settings.sandbox else settings.wechat_urls,
            App(*settings.h5_app),
            App(account.app_id, account.secret) if account else None,
            senders,
        ):
            click.echo(f"{'ok' if finding.well else 'mend':8} {finding.part}: {finding.text}")
            well = well and finding.well
        await http.stop()
        return well

    sys.exit(0 if asyncio.run(examine()) else 1)
