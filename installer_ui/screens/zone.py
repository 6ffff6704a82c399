"""Screen 6: the time zone, region first, then city."""

from __future__ import annotations

from textual.widget import Widget

from installer_ui import zones
from installer_ui.screens.page import BACK, Page, text
from installer_ui.steps import Draft, Step
from installer_ui.widgets.choices import Choices, Item


class Zone(Page):
    """Answers the zone's name. Esc in the cities leads back to the regions."""

    step = Step.ZONE

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft)
        self._zones = zones.load()
        self._region = ""

    def body(self) -> list[Widget]:
        return [text(self.t.tr("Which region is this machine in?"), ident="question"), Choices()]

    def on_mount(self) -> None:
        super().on_mount()
        self._show_regions()

    def _show_regions(self) -> None:
        regions = list(self._zones)
        own = self._region or zones.split(self.draft.zone)[0]
        self._region = ""
        self.put("question", self.t.tr("Which region is this machine in?"))
        items = [Item(self.t.tr(region)) for region in regions]
        self.query_one(Choices).replace(items, regions.index(own) if own in regions else 0)

    def _show_cities(self, region: str) -> None:
        self._region = region
        cities = self._zones[region]
        own = zones.split(self.draft.zone)[1]
        self.put("question", self.t.tr("Which city is nearest, in the same country?"))
        items = [Item(city.replace("_", " ")) for city in cities]
        self.query_one(Choices).replace(items, cities.index(own) if own in cities else 0)

    def next_text(self) -> str:
        return self.t.tr("a summary of what is kept, rewritten and lost")

    def on_choices_taken(self, event: Choices.Taken) -> None:
        if self._region:
            self.dismiss(zones.name(self._region, self._zones[self._region][event.index]))
            return
        region = list(self._zones)[event.index]
        if self._zones[region]:
            self._show_cities(region)
        else:
            self.dismiss(region)

    def action_back(self) -> None:
        if self._region:
            self._show_regions()
        else:
            self.dismiss(BACK)
