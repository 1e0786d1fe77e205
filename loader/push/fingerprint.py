"""What must be as it was for records to count as compared. If any of it differs, all of a model's are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from loader import __version__
from loader.checksum import checksum
from loader.context import Context
from loader.contract import Model
from loader.sync.binding import tables_needed

CHANGED: Mapping[str, str] = {
    "contract": "the contract changed: meta.crm or the columns of the model",
    "seeds": "a seed changed",
    "models": "the models' SQL or vars changed",
    "metadata": "CRM's metadata changed",
    "organization": "CRM's settings changed",
    "sop_mode": "SOP mode changed",
    "caller": "the loader signs in as somebody else",
    "loader": "the loader's version changed",
    "warehouse": "the warehouse is another one, or was restored",
}
"""What is said where a part differs. A part of which nothing is known is blank, and does not count."""


def fingerprint(context: Context, model: Model) -> dict[str, str]:
    """A text for each part, which differs if the part does."""
    organization = context.organization
    kept = replace(
        organization, caller_id="", caller_name="", time_zone=None, sop_integration=False, integration_user=False
    )
    names = tables_needed([model])
    return {
        "contract": checksum(_contract(model)),
        "seeds": model.origin.seeds,
        "models": model.origin.models,
        "metadata": checksum([context.tables[name].checksum for name in names]),
        "organization": checksum([asdict(kept), dict(context.birth_settings)]),
        "sop_mode": f"{organization.sop_integration}, {organization.integration_user}",
        "caller": f"{organization.caller_id} {organization.time_zone}",
        "loader": __version__,
        "warehouse": context.warehouse.identity(),
    }


def _contract(model: Model) -> object:
    return [
        model.relation,
        model.meta.model_dump(mode="json"),
        [[each.name, each.data_type, each.meta.model_dump(mode="json")] for each in model.columns],
        _contract(model.children) if model.children else None,
    ]
