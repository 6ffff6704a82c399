"""Screen 6, fresh install: which disk. Shown even when only one is possible; a "no" has its reason."""

from __future__ import annotations

from textual.widget import Widget

from installer_ui import words
from installer_ui.screens.page import Page, text
from installer_ui.steps import Step
from installer_ui.widgets.choices import Choices, Item
from mediakit.install.machine import Disk, Offer
from mediakit.install.plan import is_nothing_lost


class DiskPage(Page):
    """Answers the disk's path. Only a disk with nothing to lose is preselected."""

    step = Step.DISK

    def body(self) -> list[Widget]:
        fault = text(ident="fault", classes="fault")
        question = text(self.t.tr("Where shall Engine be installed? Everything on that disk is lost."))
        return [question, Choices([self._item(disk) for disk in self._disks()], self._default()), fault]

    def _disks(self) -> tuple[Disk, ...]:
        return self.installer.detection.disks if self.installer.detection else ()

    def _offer(self, disk: Disk) -> Offer:
        return disk.offer("fresh")

    def _item(self, disk: Disk) -> Item:
        offer = self._offer(disk)
        held = [words.engine_text(self.t, engine) for engine in disk.engines]
        what = "; ".join(held) or words.contents_text(self.t, disk)
        if not offer.allowed:
            reason = self.t.sentence(offer.reason)
            notes = [self.t.tr("Not possible: {reason}", reason=reason), self.t.sentence(offer.way_forward)]
        elif is_nothing_lost(disk):
            notes = [self.t.tr("Nothing on it would be lost.")]
        else:
            notes = [self.t.tr("Lost would be: {what}", what=what)]
        return Item(words.disk_text(self.t, disk), tuple(n for n in notes if n), offer.allowed)

    def _default(self) -> int:
        disks = self._disks()
        for index, disk in enumerate(disks):
            if disk.path == self.draft.disk:
                return index
        for index, disk in enumerate(disks):
            if self._offer(disk).allowed and is_nothing_lost(disk):
                return index
        return -1

    def next_text(self) -> str:
        return self.t.tr("the host name; nothing is written yet")

    def on_choices_taken(self, event: Choices.Taken) -> None:
        disk = self._disks()[event.index]
        offer = self._offer(disk)
        if offer.allowed:
            self.dismiss(disk.path)
            return
        words_ = (self.t.sentence(offer.reason), self.t.sentence(offer.way_forward))
        self.put("fault", self.t.tr("Not possible: {reason}", reason=" ".join(w for w in words_ if w)))
