"""The differential leak audit: random histories through every door, against a brute-force world that knows who may read what."""

from eval.audit.doors import DOORS
from eval.audit.history import History
from eval.audit.material import Material, generated_material, material_of_collection, material_of_folder
from eval.audit.parrot import MODEL_DOORS, PARROT, parrot
from eval.audit.report import LeakAudit
from eval.audit.run import audit_leaks
from eval.audit.trial import Door, Trial

__all__ = [
    "DOORS",
    "MODEL_DOORS",
    "PARROT",
    "Door",
    "History",
    "LeakAudit",
    "Material",
    "Trial",
    "audit_leaks",
    "generated_material",
    "material_of_collection",
    "material_of_folder",
    "parrot",
]
