"""Models: the versions side by side, and of one its plots, its card, its gate and what changed against the champion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse, Response

from creditrisk.contract import contract_fingerprint
from creditrisk.errors import CreditRiskError
from creditrisk.registry import GateDecision, ModelManifest, ModelRegistry
from creditrisk.release import ReleaseRecord
from creditrisk.storage import Storage
from plugins.operators_page.access import sees
from plugins.operators_page.mlflow_runs import run_address
from plugins.operators_page.model_card import Block, blocks_of
from plugins.operators_page.plots import Figure, Series, lines
from plugins.operators_page.registry_reads import releases, version_of, versions
from plugins.operators_page.rendering import PageDep

router = APIRouter(dependencies=sees("train_model"))

SHOWN = 40
CARD = "model_card.md"
METRICS = {
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "ks": "KS",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
}
_PLOTS = {
    "roc.png": "ROC",
    "precision_recall.png": "Precision and recall",
    "calibration.png": "Calibration",
    "scores.png": "Score distribution",
    "importance.png": "Permutation importance",
}
_NAMES = {**METRICS, "log_loss": "Log loss"}
_LESS_IS_BETTER = ("brier", "log_loss", "calibration_error")


@dataclass(frozen=True, slots=True)
class Version:
    """A line of the table."""

    manifest: ModelManifest
    role: str | None
    """``champion``, ``challenger`` or ``served before``."""

    @property
    def is_accepted(self) -> bool:
        """Whether the model gate lets it serve."""
        return self.manifest.gate.verdict is GateDecision.ACCEPTED


@dataclass(frozen=True, slots=True)
class Change:
    """Something in which a version differs from the champion."""

    what: str
    champion: str
    version: str
    note: str = ""


def roles_of(history: Sequence[ReleaseRecord]) -> dict[str, str]:
    """What each version that was ever released is now."""
    roles = {record.champion: "served before" for record in history}
    if history:
        roles[history[-1].champion] = "champion"
        if history[-1].challenger:
            roles[history[-1].challenger] = "challenger"
    return roles


def changes_of(champion: ModelManifest, version: ModelManifest) -> list[Change]:
    """In what a version differs from the champion: what it was made of, then what it is worth."""
    changes = [
        Change(what, str(before), str(after))
        for what, before, after in (
            ("snapshot", champion.snapshot, version.snapshot),
            ("judged on loans from", champion.split.cut_date, version.split.cut_date),
            ("feature contract", champion.contract_fingerprint, version.contract_fingerprint),
            ("code", champion.code_version, version.code_version),
            ("decline share", champion.decline_share, version.decline_share),
            ("threshold", f"{champion.threshold:.6f}", f"{version.threshold:.6f}"),
        )
        if before != after
    ]
    changes += _differing("", champion.spec, version.spec)
    changes += _differing("library ", champion.library_versions, version.library_versions)
    for name in [name for name in champion.metrics if name in version.metrics]:
        before, after = champion.metrics[name].value, version.metrics[name].value
        if before != after:
            better = (after < before) == (name in _LESS_IS_BETTER)
            changes.append(
                Change(
                    _NAMES.get(name, name),
                    f"{before:.4f}",
                    f"{after:.4f}",
                    f"{after - before:+.4f}, {'better' if better else 'worse'}",
                )
            )
    return changes


def _differing(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    return [
        Change(prefix + name, str(before.get(name, "–")), str(after.get(name, "–")))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def figure_of(manifests: Sequence[ModelManifest], floor: float) -> Figure | None:
    """ROC AUC by version with its interval; None where there are fewer than two."""
    known = [manifest for manifest in reversed(manifests) if "roc_auc" in manifest.metrics]
    if len(known) < 2:
        return None
    estimates = [manifest.metrics["roc_auc"] for manifest in known]
    series = Series(
        "ROC AUC",
        [manifest.version for manifest in known],
        [estimate.value for estimate in estimates],
        low=[estimate.low for estimate in estimates],
        high=[estimate.high for estimate in estimates],
    )
    return lines([series], limits=[("floor of the gate", floor)], from_zero=False)


@router.get("/models")
def show(page: PageDep, version: str | None = None) -> Response:
    """The view, with one version in full where one is asked for."""
    history = releases(page.settings)
    roles = roles_of(history)
    found = versions(page.settings, SHOWN)
    champion = version_of(page.settings, history[-1].champion) if history else None
    chosen = version_of(page.settings, version) if version else None
    if version and chosen is None:
        raise HTTPException(404, f"version {version}: not in the registry")
    return page.render(
        "models.html",
        view="models",
        versions=[Version(manifest, roles.get(manifest.version)) for manifest in found],
        metrics=METRICS,
        figure_of_versions=figure_of(found, page.settings.model_gate.roc_auc_floor),
        chosen=Version(chosen, roles.get(chosen.version)) if chosen else None,
        champion=champion,
        changes=changes_of(champion, chosen) if champion and chosen and champion != chosen else [],
        pictures={name: words for name, words in _PLOTS.items() if chosen and name in chosen.files},
        card=_card(page, chosen) if chosen else [],
        is_of_this_contract=chosen is None or chosen.contract_fingerprint == contract_fingerprint(),
        is_under_way=bool(history and history[-1].challenger),
    )


@router.get("/models/{version}/pictures/{name}")
def picture(page: PageDep, version: str, name: str) -> Response:
    """One of a version's plots, as it was registered."""
    manifest = version_of(page.settings, version)
    if manifest is None or name not in _PLOTS or name not in manifest.files:
        raise HTTPException(404, f"version {version}: no picture {name}")
    content = ModelRegistry(Storage(page.settings.registry_root)).verified_file(manifest, name)
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type="image/png", headers=headers)


@router.get("/models/{version}/mlflow")
def mlflow(page: PageDep, version: str) -> Response:
    """Leads to the version's run in MLflow."""
    if version_of(page.settings, version) is None:
        raise HTTPException(404, f"version {version}: not in the registry")
    return RedirectResponse(run_address(page.settings, version), status_code=303)


def _card(page: PageDep, manifest: ModelManifest) -> list[Block]:
    if CARD not in manifest.files:
        return []
    try:
        content = ModelRegistry(Storage(page.settings.registry_root)).verified_file(manifest, CARD)
    except CreditRiskError as error:
        return [Block("text", f"The model card cannot be shown: {error}")]
    return blocks_of(content.decode(errors="replace"))[1:]  # its first heading is the page's own
