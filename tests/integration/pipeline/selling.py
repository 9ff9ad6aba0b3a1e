"""What a channel offers of a world's stock: the real allocation, for one channel made in memory."""

from dataclasses import replace

from schemas.channel_config import Channel
from stockfeed.pipeline.allocate import allocate


class Shop:
    """One channel over every feed, with one place that takes stock from everywhere."""

    def __init__(self, world) -> None:
        self.world = world

    def offers(self) -> dict[str, int]:
        """Allocate now and return the quantity by SKU."""
        config = {"code": "shop", "name": "Shop", "kind": "memory", "locations": [{"id": "main"}]}
        app = self.world.app
        channels = {"shop": Channel.model_validate(config)}
        allocate(replace(app, config=replace(app.config, channels=channels)), "shop")
        return {r.sku: r.quantity for r in self.world.query("SELECT sku, quantity FROM available_to_sell ORDER BY sku")}

    def why(self, sku: str) -> str:
        """Return the explanation of a SKU as text."""
        return str(self.world.query(f"SELECT steps FROM available_to_sell WHERE sku = '{sku}'")[0].steps)
