"""Every error the system raises on purpose.

CreditRiskError
├── SettingsError                a setting is missing or makes no sense
├── KeyInvalid                   an API key cannot be made or revoked as asked
├── ContractError                data that breaks the contract
│   ├── HeaderError              a file's columns are not the contract's
│   ├── NoInputError             nothing has landed for the date asked for
│   └── ReadingUnsound           what was read does not add up
├── StorageError
│   ├── ObjectMissing            no object of that name
│   └── ObjectExists             the name is taken, and nothing is ever overwritten
├── SnapshotError
│   ├── SnapshotMissing          no committed snapshot of that id or date
│   ├── SnapshotDamaged          what was read is not what the manifest says
│   ├── InputsGone               landed files that it was made of are no longer there
│   └── SnapshotNotPassed        the quality gate refused it, or has not judged it yet
├── QualityGateFailed            a check of the quality gate failed
├── StoreError
│   ├── StoreUnavailable         Postgres is down, or slower than the time limit
│   ├── NothingPublished         no snapshot has been published yet
│   ├── CustomerUnknown          the published snapshot has no such customer
│   └── OlderThanServed          a snapshot older than the one being served
├── QuestionRefused              a rule forbids the question, or forbids it of this customer
├── DecisionLogError
│   ├── DecisionLogUnwritable    a decision's record cannot be written, so it must not be answered
│   ├── DecisionUnknown          no decision of that id is in the log
│   ├── RecordDamaged            what should be a decision's record is not one, or not whole
│   ├── RecordsRefused           Postgres does not take some of the records
│   └── ReplayUnavailable        a decision could not be replayed in time
├── TrainingError
│   ├── SpecInvalid              a model spec breaks a rule
│   ├── RowsInsufficient         a side of the split has too few loans to learn from or to judge by
│   └── CandidateUnfinished      a step of training came before the one that it needs
├── RegistryError
│   ├── VersionMissing           no committed model version of that name
│   ├── VersionDamaged           a file is not the one the manifest was written for
│   ├── VersionRefused           the model gate refused it
│   ├── ContractMismatch         made for another feature contract
│   ├── LibraryMismatch          pickled by another release of a library
│   └── VersionUnservable        the service cannot score it, or not as the model itself does
└── ReleaseError
    ├── NothingReleased          there is no release record yet
    ├── NothingServed            no version served at the moment asked for
    ├── ReleaseConflict          somebody else wrote the next record first
    ├── ChallengeRefused         a rule of challenges forbids it
    └── NothingToRollBackTo      no earlier version has served

The message of each is one line that says what is wrong and what to do.
"""


class CreditRiskError(Exception):
    """The root: catching it catches what the system raises on purpose and nothing else."""


class SettingsError(CreditRiskError):
    """A setting is missing or makes no sense."""


class KeyInvalid(CreditRiskError):
    """An API key cannot be made or revoked as asked; the message names field, value and rule."""


class ContractError(CreditRiskError):
    """Data that breaks the contract."""


class HeaderError(ContractError):
    """A file's columns are not the contract's; the message lists every one."""


class NoInputError(ContractError):
    """Nothing has landed for the date asked for."""


class ReadingUnsound(ContractError):
    """What was read does not add up, as where a file was replaced meanwhile."""


class StorageError(CreditRiskError):
    """The lake or the registry could not be read or written."""


class ObjectMissing(StorageError):
    """No object of that name."""


class ObjectExists(StorageError):
    """The name is taken, and nothing is ever overwritten."""


class SnapshotError(CreditRiskError):
    """A feature snapshot cannot be used."""


class SnapshotMissing(SnapshotError):
    """No committed snapshot of that id or date."""


class SnapshotDamaged(SnapshotError):
    """What was read is not what the snapshot's manifest says."""


class InputsGone(SnapshotError):
    """Landed files that the snapshot was made of are no longer there; the message names the first ones."""


class SnapshotNotPassed(SnapshotError):
    """The quality gate refused the snapshot, or has not judged it yet."""


class QualityGateFailed(CreditRiskError):
    """A check of the quality gate failed; the message lists every failed check."""


class StoreError(CreditRiskError):
    """The online store cannot answer."""


class StoreUnavailable(StoreError):
    """Postgres is down, or slower than the time limit."""


class NothingPublished(StoreError):
    """No snapshot has been published yet."""


class CustomerUnknown(StoreError):
    """The published snapshot has no such customer."""


class OlderThanServed(StoreError):
    """The snapshot is older than the one being served."""


class QuestionRefused(CreditRiskError):
    """A rule forbids the question, or forbids it of this customer."""

    def __init__(self, *problems: tuple[str, object, str]) -> None:
        """Each problem names the field, its value and the rule."""
        self.problems = problems
        super().__init__("; ".join(f"{field}: {rule}" for field, _, rule in problems))


class DecisionLogError(CreditRiskError):
    """The decision log cannot be written or read."""


class DecisionLogUnwritable(DecisionLogError):
    """A decision's record cannot be written, so the decision must not be answered."""


class DecisionUnknown(DecisionLogError):
    """No decision of that id is in the log."""


class RecordDamaged(DecisionLogError):
    """What should be a decision's record is not one, or not whole."""


class RecordsRefused(DecisionLogError):
    """Postgres does not take some of the records; the others of the same batch are not added either."""


class ReplayUnavailable(DecisionLogError):
    """A decision could not be replayed in time, or its replay failed; it may go right later."""


class TrainingError(CreditRiskError):
    """A model cannot be trained."""


class SpecInvalid(TrainingError):
    """A model spec breaks a rule; the message names field, value and rule."""


class RowsInsufficient(TrainingError):
    """A side of the split has too few loans to learn from or to judge by."""


class CandidateUnfinished(TrainingError):
    """A step of training was asked for before the one that it needs has ended."""


class RegistryError(CreditRiskError):
    """A model version cannot be used."""


class VersionMissing(RegistryError):
    """No committed model version of that name."""


class VersionDamaged(RegistryError):
    """A file of the version is not the one its manifest was written for."""


class VersionRefused(RegistryError):
    """The model gate refused the version."""


class ContractMismatch(RegistryError):
    """The version was made for another feature contract."""


class LibraryMismatch(RegistryError):
    """The version was pickled by another release of a library."""


class VersionUnservable(RegistryError):
    """The service cannot score the version, or does not score it as the model itself does."""


class ReleaseError(CreditRiskError):
    """A release cannot be made."""


class NothingReleased(ReleaseError):
    """There is no release record yet."""


class NothingServed(ReleaseError):
    """No version served at the moment asked for."""


class ReleaseConflict(ReleaseError):
    """Somebody else wrote the next release record first."""


class ChallengeRefused(ReleaseError):
    """A rule of challenges forbids it; the message says which."""


class NothingToRollBackTo(ReleaseError):
    """No earlier version has served."""


MAY_PASS = (StorageError, StoreUnavailable, NoInputError, ReadingUnsound, InputsGone)
"""What another try may find gone, with nothing mended by a person: something was away, or files landed or moved meanwhile."""
