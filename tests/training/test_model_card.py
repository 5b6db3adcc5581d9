"""The card and the plots: what a person sees of a version."""

import io
import re
from pathlib import Path

import pytest
from matplotlib.image import imread

from creditrisk.registry import ModelRegistry, version_folder
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from tests.training.made_loans import SMALL_FOREST, loans_table, make_loans, write_snapshot
from training.plots import PLOTS
from training.train import judge, train

Trained = tuple[Settings, str, str]


@pytest.fixture
def folder(trained: Trained) -> Path:
    root = Storage(trained[0].registry_root).local_root
    assert root
    return root / version_folder(trained[2])


def test_the_card_shows_the_numbers_and_every_plot(trained: Trained, folder: Path) -> None:
    card = (folder / "model_card.md").read_text()
    manifest = ModelRegistry(Storage(trained[0].registry_root)).manifest(trained[2])
    assert card.startswith(f"# Model {trained[2]}\n\n**Accepted** by the model gate")
    auc = manifest.metrics["roc_auc"]
    assert f"| ROC AUC | {auc.value:.4f} ({auc.low:.4f} to {auc.high:.4f}) | " in card
    assert f"judged on loans from {manifest.split.cut_date} on" in card
    assert f"`{manifest.prediction_hash}`" in card
    assert set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", card)) == set(PLOTS)
    for group in ("gender: F", "gender: unknown", "age: 18 to 29", "own car: yes"):
        assert f"| {group} |" in card
    for check in manifest.gate.checks:
        assert f"| {check.name} | {check.verdict} | {check.sentence} |" in card


def test_every_table_of_the_card_is_whole(folder: Path) -> None:
    tables = re.findall(r"(?:^\|.*\|\n)+", (folder / "model_card.md").read_text(), re.MULTILINE)
    assert len(tables) == 7
    for table in tables:
        widths = {line.count("|") for line in table.splitlines()}
        assert len(widths) == 1, table


def test_a_refused_card_lists_the_reasons_first(settings: Settings) -> None:
    version = train(settings, write_snapshot(settings, loans_table(make_loans(leak=True))), SMALL_FOREST)
    gate = judge(settings, version)
    card = Storage(settings.registry_root).read(f"{version_folder(version)}/model_card.md").decode()
    reasons = "\n".join(f"- {reason}" for reason in gate.reasons)
    assert card.startswith(
        f"# Model {version}\n\n**Refused** by the model gate; it cannot be promoted.\n\n{reasons}\n"
    )


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_picture_with_something_on_it(folder: Path, name: str) -> None:
    picture = imread(io.BytesIO((folder / name).read_bytes()), format="png")
    height, width, _ = picture.shape
    assert (width, height) == (832, 598)
    is_ink = (picture[..., :3] < 0.95).any(axis=2)
    assert 0.01 < is_ink.mean() < 0.6
    rows, columns = is_ink.any(axis=1).nonzero()[0], is_ink.any(axis=0).nonzero()[0]
    assert columns[-1] - columns[0] > 0.7 * width
    assert rows[-1] - rows[0] > 0.85 * height
    assert columns[-1] < width - 1, "cut off at the right"
