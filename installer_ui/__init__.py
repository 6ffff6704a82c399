"""The installer's screens, and the technicians' program. Screens only: every disk is mediakit's business."""
