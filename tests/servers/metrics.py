"""What a hub process measures of itself."""

from collections.abc import Mapping

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.servers.hub import HubProcess


async def gauges(hub: HubProcess) -> Mapping[str, float]:
    """The process's gauges."""
    async with httpx2.AsyncClient() as http:
        text = (await http.get(f"{hub.url}/metrics")).text
    families = [family for family in text_string_to_metric_families(text) if family.type == "gauge"]
    return {family.name: sum(sample.value for sample in family.samples) for family in families}
