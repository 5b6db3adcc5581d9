"""A market of generated loans for a history to be told in: a snapshot, and a version that is trained on it and released."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from unittest import mock

import pyarrow.csv

from creditrisk.online_store import OnlineStore
from creditrisk.refresh import judge_snapshot
from creditrisk.release_ledger import promote
from creditrisk.settings import Settings
from creditrisk.snapshots import InputFile, SnapshotCatalog, SnapshotId
from creditrisk.storage import Storage
from local import demo_snapshots
from local.demo_customers import LoanBook
from local.demo_month import Outcomes
from local.demo_snapshots import SnapshotWriter
from local.generate_loans import generate_loans
from tests.monitoring.generated_market import GeneratedMarket
from tests.monitoring.outcome_world import Loan, write_snapshot


@dataclass(frozen=True)
class OwnMarket:
    """What the market is made of."""

    newest: date
    """The date of its newest loan and of its snapshot."""
    now: datetime
    customers: int = 700
    days: int = 730
    seed: int = 3

    @property
    def version(self) -> str:
        """The version that is released."""
        return f"{self.newest}-aaaaaaaaaa"

    def make(self, settings: Settings) -> None:
        """Land the loans, write their snapshot, train and release."""
        lake, registry = Storage(settings.lake_root), Storage(settings.registry_root)
        settings.var_dir.mkdir(parents=True, exist_ok=True)
        file = settings.var_dir / f"loans of {settings.market}.csv"
        generate_loans(file, self.customers, self.days, self.seed, self.newest, with_bad_rows=False)
        lake.create(f"raw/loans/{self.newest}/loans.csv", file)
        rows = pyarrow.csv.read_csv(file).select(["loan_id", "id", "loan_date", "status"]).to_pylist()
        OnlineStore(settings).migrate()
        self._write_snapshot(settings, rows)
        market = GeneratedMarket(self.newest, self.customers, self.days, self.seed)
        market.train(registry, self.newest, self.version)
        promote(settings, self.version, by="a test", reason="to decide")

    def _write_snapshot(self, settings: Settings, rows: list[dict[str, Any]]) -> None:
        """What a history writes, without its mark; its types are those of a simpler one."""
        catalog = SnapshotCatalog(Storage(settings.lake_root))
        simple = SnapshotId.parse(
            write_snapshot(settings, self.newest, [Loan(*row.values()) for row in rows])
        )
        book = LoanBook.of_market(catalog.lake, simple)
        book.take_until(self.newest)
        with mock.patch.object(demo_snapshots, "GENERATED", "the feature job"):
            writer = SnapshotWriter(catalog, catalog.manifest(simple))
            key = f"raw/loans/{self.newest}/loans.csv"
            landed = InputFile(url=catalog.lake.url_of(key), landed=self.newest, rows=len(rows))
            own = writer.write(book, Outcomes(), self.newest, self.now, [landed])
        catalog.lake.remove_folder(simple.folder)
        judge_snapshot(settings, own.snapshot)
