"""A local Dataverse Web API: the part of Dynamics 365 Sales that a push needs, as strict as the service.

with Emulator(snapshot) as crm:
    requests.get(f"{crm.url}/api/data/v9.2/WhoAmI", headers={"Authorization": f"Bearer {crm.token}"})
"""

from .crm import Crm
from .doors import Control
from .server import Emulator, serve
from .snapshot import SnapshotError
from .throttle import Limits
from .values import Readings

__all__ = ["Control", "Crm", "Emulator", "Limits", "Readings", "SnapshotError", "serve"]
