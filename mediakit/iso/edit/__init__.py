"""Edits of a boot ISO that cost what the change costs: appended, crash-safe, and taken back byte for byte.

``make_plan`` (pure) → ``EditPlan`` → ``apply_in_place`` or ``write_new``; ``undo`` and ``complete`` go by the
record that every edit leaves in its tail.
"""

from mediakit.iso.edit.apply import apply_in_place, write_new
from mediakit.iso.edit.changes import Change, Overwrite, Patch, Put, Remove, SetVolumeId
from mediakit.iso.edit.medium import FileMedium, Medium
from mediakit.iso.edit.model import EditPlan, Region
from mediakit.iso.edit.overlay import planned_image
from mediakit.iso.edit.plan import make_plan
from mediakit.iso.edit.undo import UndoResult, complete, history, pending, undo

__all__ = [
    "Change",
    "EditPlan",
    "FileMedium",
    "Medium",
    "Overwrite",
    "Patch",
    "Put",
    "Region",
    "Remove",
    "SetVolumeId",
    "UndoResult",
    "apply_in_place",
    "complete",
    "history",
    "make_plan",
    "pending",
    "planned_image",
    "undo",
    "write_new",
]
