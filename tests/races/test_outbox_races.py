"""Two workers, real processes, on one outbox: each message is sent once."""

from collections import Counter

from hub.store.database import Store
from tests.outgoing import code_for, enqueue, make_outbox
from tests.servers.providers import Aliyun, served
from tests.servers.waiting import until
from tests.servers.worker import ALIYUN, Start
from tests.signing_in import rows

MESSAGES = 200


async def test_two_workers_send_each_of_200_messages_once(
    store: Store, database_url: str, start_worker: Start
) -> None:
    """They share a backlog and then what keeps coming; no message is lost and none is sent twice."""
    outbox = make_outbox(store)
    messages = [code_for(store, f"+8613800{number:06d}") for number in range(MESSAGES)]
    await enqueue(store, outbox, *messages[: MESSAGES // 2])
    provider = Aliyun()
    with served(provider):
        for _ in range(2):
            start_worker(database_url, **ALIYUN, ALIYUN_SMS_URL=provider.url)
        for message in messages[MESSAGES // 2 :]:
            await enqueue(store, outbox, message)

        async def all_marked() -> bool:
            open_rows = await rows(database_url, "SELECT id FROM outbox WHERE sent_at IS NULL")
            return not open_rows

        await until(all_marked, timeout=60)
    sent = Counter(one["to"] for one in provider.taken)
    assert (len(sent), provider.calls) == (MESSAGES, MESSAGES)
    (row,) = await rows(database_url, "SELECT MAX(attempts) AS tries, COUNT(*) AS n FROM outbox")
    assert (row["tries"], row["n"]) == (1, MESSAGES)
