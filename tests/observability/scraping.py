"""Metrics, read as Prometheus does."""

import asyncio
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


class Scrape:
    """The metrics of a server at one moment."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.kinds = {each.name + ("_total" if each.type == "counter" else ""): each.type for each in families}
        self.samples: list[Sample] = [sample for each in families for sample in each.samples]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum over all series of this name with these labels, of which there must be one."""
        found = [each.value for each in self.samples if each.name == name and labels.items() <= each.labels.items()]
        assert found, f"no {name} with {labels}"
        return sum(found)

    def labels(self, name: str, label: str, **others: str) -> set[str]:
        """Return the values of a label, in the series of this name with these other labels."""
        return {
            each.labels[label] for each in self.samples if each.name == name and others.items() <= each.labels.items()
        }


async def scrape(address: str | None) -> Scrape:
    """Read the metrics at an address."""
    assert address is not None

    def get() -> str:
        with urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    return Scrape(await asyncio.to_thread(get))
