"""Catalogues: read, complete, and recognising sentences that are formatted already."""

from __future__ import annotations

import string

import pytest

from installer_ui import catalogue
from installer_ui.glyphs import SAFE, console_safe
from installer_ui.i18n import LANGUAGES, LOCALE, Catalogue, Entry, load, parse_po
from mediakit import run

OTHERS = [language for language in LANGUAGES if language != "en"]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_for_users_is_translated(language: str) -> None:
    known = load(language).entries
    missing = [m.msgid for m in catalogue.collect().values() if m.msgid not in known]
    own = [m for m in missing if catalogue.collect()[m].where.startswith("installer_ui/")]
    assert not own, "run python -m installer_ui.catalogue and translate"
    assert len(missing) < len(known) // 20, missing


@pytest.mark.parametrize("language", OTHERS)
def test_translations_keep_their_placeholders_and_use_glyphs_that_consoles_have(language: str) -> None:
    for entry in load(language).entries.values():
        for text in entry.texts:
            assert fields(text) == fields(entry.msgid) | (fields(text) & {"n"}), entry.msgid
            assert set(text) <= SAFE, text


@pytest.mark.parametrize("language", OTHERS)
def test_gettext_reads_the_catalogue_as_we_do(language: str, tmp_path) -> None:
    """msgfmt is the judge of the format; gettext's own reader of the texts."""
    import gettext

    source = LOCALE / language / "engine.po"
    compiled = tmp_path / "engine.mo"
    run.run(["msgfmt", "--check-format", "-o", compiled, source], timeout=30)
    with compiled.open("rb") as file:
        judge = gettext.GNUTranslations(file)
    for entry in load(language).entries.values():
        if entry.plural:
            for number in (1, 2):
                assert judge.ngettext(entry.msgid, entry.plural, number) == entry.texts[number != 1]
        elif entry.texts[0]:
            assert judge.gettext(entry.msgid) == entry.texts[0]


def test_a_sentence_is_recognised_by_its_pattern() -> None:
    spanish = load("es")
    sentence = "This disk has 4.00 GiB, the Engine needs 7.40 GiB. Choose a larger disk."
    assert (
        spanish.sentence(sentence)
        == "Este disco tiene 4.00 GiB; Engine necesita 7.40 GiB. Elija un disco mayor."
    )


def test_an_unknown_sentence_stays_english() -> None:
    assert load("es").sentence("Nobody has ever said this here.") == "Nobody has ever said this here."


def test_the_longest_pattern_wins_and_a_placeholder_ends_with_its_sentence() -> None:
    entries = {
        "{a} holds {b}.": Entry("{a} holds {b}.", ("{a} contiene {b}.",)),
        "Stop.": Entry("Stop.", ("Alto.",)),
    }
    assert Catalogue("es", entries).sentence("X holds Y. Stop.") == "X contiene Y. Alto."


def test_po_entries_over_several_lines_with_escapes_and_plurals() -> None:
    text = '#, fuzzy\nmsgid "a"\nmsgstr "b"\n\nmsgid ""\n"x \\"y\\"\\n"\nmsgid_plural "p"\nmsgstr[0] "1"\nmsgstr[1] "2"\n'
    assert list(parse_po(text)) == [Entry("a", ("b",), "", True), Entry('x "y"\n', ("1", "2"), "p")]


def test_names_from_outside_are_shown_in_safe_glyphs() -> None:
    assert console_safe("“Ñandú” – 数据 …") == '"Ñandú" - ?? ...'
    assert set(console_safe("".join(map(chr, range(32, 0x3000))))) <= SAFE
