"""A world with a channel for the checker's tests: everything in it is done by the real verbs."""

from dataclasses import replace
from pathlib import Path

from schemas.channel_config import Channel
from stockfeed.checker import check_database
from stockfeed.pipeline.channel_acts import approve_channel
from stockfeed.pipeline.publish import publish
from stockfeed.pipeline.reconcile import reconcile
from tests.integration.pipeline.conftest import World
from tests.integration.publish.memory_shop import PLACE, MemoryShop

WHO = {"actor": "ann", "reason": "looked at it"}


class SellingWorld(World):
    """One supplier, one feed, one channel "shop" whose shop is in memory."""

    shop: MemoryShop

    def open_shop(self, *skus: str) -> "SellingWorld":
        self.shop = MemoryShop()
        self.shop.list_skus(*skus)
        self._reopen()
        approve_channel(self.app, "shop", **WHO)
        return self

    def _reopen(self) -> "SellingWorld":
        super()._reopen()
        channel = Channel.model_validate(
            {"code": "shop", "name": "shop", "kind": "memory", "locations": [PLACE], "gate": {"enabled": False}}
        )
        self.app = replace(self.app, config=replace(self.app.config, channels={"shop": channel}))
        return self

    def publish(self):
        return publish(self.app, "shop", door=self.shop)

    def reconcile(self):
        return reconcile(self.app, "shop", door=self.shop)

    def faults(self, **options):
        """What the checker finds, with the shop's log if there is a shop."""
        logs = {"shop": self.shop.write_log(Path(self.root) / "shop.ndjson")} if hasattr(self, "shop") else {}
        return check_database(
            self.app.engine, self.app.settings.archive_dir, self.clock.now, **{"channel_logs": logs, "limit": 1000} | options
        )
