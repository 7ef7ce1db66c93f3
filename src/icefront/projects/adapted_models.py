"""Networks that were adapted to glaciers of a project: noted in its catalogue, offered to runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from icefront.errors import IcefrontError
from icefront.models.card import ModelCard, read_card
from icefront.projects.catalogue import Catalogue

ADAPTED = "adapted_models"
"""Table of the catalogue."""

SITE = "site"
"""What the provenance of a card has where a network was adapted: its glacier, grid and dates."""


@dataclass(frozen=True)
class AdaptedModel:
    """A network that was adapted to a glacier.

    Attributes
    ----------
    glacier : str or None
    path : Path
        Of its checkpoint.
    sha256, base_sha256 : str
        Of its weights, and of those it was adapted from.
    before, after : float
        Agreement with the pass through time on dates that were kept out.
    """

    glacier: str | None
    path: Path
    sha256: str
    base_sha256: str
    before: float
    after: float


def site_of(card: ModelCard) -> str | None:
    """Return the name of the glacier that a model was adapted to, or None; "" if it has no name."""
    site = card.provenance.get(SITE)
    return str(site.get("glacier") or "") if isinstance(site, dict) else None


def note_adapted(catalogue: Catalogue, model: AdaptedModel) -> None:
    """Note a network that was adapted to a glacier of a project, instead of an earlier one."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with catalogue.writing() as db:
        db.execute(
            f"CREATE TABLE IF NOT EXISTS {ADAPTED} (glacier TEXT PRIMARY KEY, path TEXT NOT NULL, "
            "sha256 TEXT NOT NULL, base_sha256 TEXT NOT NULL, before REAL NOT NULL, "
            "after REAL NOT NULL, made DATETIME NOT NULL)"
        )
        db.execute(
            f"INSERT OR REPLACE INTO {ADAPTED} VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                model.glacier or "",
                str(model.path),
                model.sha256,
                model.base_sha256,
                model.before,
                model.after,
                now,
            ),
        )


def adapted_models(catalogue: Catalogue) -> list[AdaptedModel]:
    """Return the networks that were adapted to glaciers of a project and are still there."""
    if not catalogue.has_table(ADAPTED):
        return []
    found = []
    for row in catalogue.db.execute(f"SELECT * FROM {ADAPTED} ORDER BY glacier").fetchall():
        path = Path(row["path"])
        try:
            there = path.is_file() and read_card(path).sha256 == row["sha256"]
        except IcefrontError:
            there = False
        if there:
            found.append(
                AdaptedModel(
                    row["glacier"] or None,
                    path,
                    row["sha256"],
                    row["base_sha256"],
                    row["before"],
                    row["after"],
                )
            )
    return found


def offers(
    catalogue: Catalogue, card: ModelCard, own: Mapping[str, ModelCard] | None = None
) -> list[str]:
    """Say which adapted networks fit glaciers of a project that is extracted with another one.

    Parameters
    ----------
    catalogue : Catalogue
    card : ModelCard
        Of the model in use.
    own : mapping, optional
        By glacier: cards of models of their own.

    Returns
    -------
    list of str
        A sentence each; also where a model in use was adapted to another glacier.
    """
    used = {name: (own or {}).get(name, card) for name in catalogue.glaciers()}
    sentences = []
    for name, its in used.items():
        site = site_of(its)
        if site is not None and site != name:
            sentences.append(
                f"{its.name} was adapted to {site or 'a glacier without name'}, and of {name} it "
                "knows no more than others do."
            )
    for model in adapted_models(catalogue):
        if used.get(model.glacier or "", card).sha256 == model.sha256:
            continue
        how = f"give --model {model.path} --renew"
        if model.glacier is not None and len(used) > 1:
            how = (
                f"name {model.path} as the 'model' of {model.glacier} under 'glaciers' in the "
                "configuration, and give --renew"
            )
        if model.glacier is None or model.glacier in used:
            sentences.append(
                f"A network adapted to {model.glacier or 'the glacier'} fits (agreement on dates "
                f"kept out {model.after:.3f}, {model.before:.3f} before): {how}."
            )
    return sentences
