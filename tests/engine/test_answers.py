"""Answer files: the example holds, every problem is reported at once with its line, secrets never show."""

from __future__ import annotations

import random
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediakit.engine import answers, answers_example
from mediakit.engine.answers import AnswersError, Match, Network, parse
from mediakit.errors import MediakitError

HASH = "$6$abcdefgh$" + "a" * 86
BASE = 'schema = 1\naction = "upgrade"\nlicence = "accepted"\n'
FULL = f"""\
schema = 1
action = "fresh"
when_none = "fresh"
when_many = "newest"
language = "es"
keyboard = "es"
licence = "accepted"
[match]
machine_serials = ["A", "B"]
min_size = "100GB"
max_size = "2T"
min_version = "4.5"
[wipe]
disk_serial = "S1"
[system]
host_name = "Box-7"
admin_password_hash = "{HASH}"
time_zone = "Europe/Madrid"
[network]
mode = "static"
address = "192.0.2.7/24"
gateway = "192.0.2.1"
dns = ["192.0.2.53"]
[end]
action = "reboot"
"""


def problems(text: str, **options: str) -> dict[int, str]:
    with pytest.raises(AnswersError) as caught:
        parse(text, "a.toml", **options)
    found: dict[int, str] = {}
    for problem in caught.value.problems:
        found[problem.line] = (found.get(problem.line, "") + " " + problem.message).strip()
    return found


def test_the_example_is_valid_and_names_every_key() -> None:
    found = parse(answers.example())
    assert (found.action, found.end, found.network.mode, found.licence_accepted) == (
        "upgrade",
        "poweroff",
        "dhcp",
        True,
    )
    from mediakit.engine.answers_schema import KEYS, TABLES

    for key in (*KEYS, *(key for table in TABLES.values() for key in table)):
        assert re.search(rf"^(# )?{key} = ", answers.example(), re.MULTILINE), key


def test_a_full_file_is_read() -> None:
    found = parse(FULL)
    assert found.match == Match(("A", "B"), min_size=100 * 10**9, max_size=2 << 40, min_version="4.5")
    assert found.system is not None and found.system.host_name == "box-7"
    assert found.wipe is not None and found.wipe.identity == "S1"
    assert found.network == Network("static", "192.0.2.7/24", "192.0.2.1", ("192.0.2.53",))
    assert (found.when_many, found.end, found.language) == ("newest", "reboot", "es")


def test_all_problems_are_reported_at_once_with_their_lines() -> None:
    text = (
        'schema = 2\naction = "upgrad"\nlicense = "accepted"\nkeyboard = 7\n[match]\nmin_size = "big"\n'
        '[network]\nmode = "static"\ngateway = "192.0.2.1"\n[end]\naction = "explode"\n[foo]\nx = 1\n'
    )
    found = problems(text)
    assert set(found) >= {1, 2, 3, 4, 6, 7, 11, 12}
    assert "“schema” must be 1" in found[1]
    assert '"upgrade"' in found[2]
    assert "Did you mean “licence”?" in found[3]
    assert "static network needs “address”" in found[7]
    assert "the table [foo]" in found[12]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "“action” is missing"),
        ('schema = 1\naction = "upgrade"\n', 0, "licence must be accepted"),
        ('schema = 1\naction = "upgrade"\nlicence = "yes"\n', 3, "accepted"),
        (BASE + 'keyboard = "US"\n', 4, "no such keyboard"),
        (BASE + "[network]\nmode = 'static'\naddress = '192.0.2.0/24'\n", 6, "network itself"),
        (BASE + "[network]\nmode = 'static'\naddress = '192.0.2.7/24'\ngateway = '10.0.0.1'\n", 7, "not in the network"),
        (BASE + "[network]\nmode = 'dhcp'\naddress = '192.0.2.7/24'\n", 6, "not used"),
        (BASE + "[network]\ndns = ['x']\n", 5, "not an address"),
        (BASE + "[match]\nmin_size = '2T'\nmax_size = '1T'\n", 6, "no disk matches"),
        (BASE + "[match]\nmin_version = '5.1'\nmax_version = '5.0'\n", 6, "no Engine matches"),
        (BASE + "[match]\nmin_version = 'new'\n", 5, "not a version"),
        (BASE + "[wipe]\nkeep_vms = true\ndisk_serial = 'x'\n", 5, "for “reinstall”"),
        (BASE + "[wipe]\n", 4, "must name"),
        (BASE + "[wipe]\ndisk_serial = 'x'\ninstall_id = 'y'\n", 6, "one identity"),
        (BASE + "when_none = 'fresh'\n", 0, "needs [system]"),
        (BASE + "when_none = 'fresh'\n[system]\nhost_name = 'x'\n", 5, "admin_password_hash"),
        (BASE + "[system]\nhost_name = '-'\n", 5, "hyphen"),
        (BASE + "[system]\ntime_zone = 'Mars/Base'\n", 5, "no such time zone"),
        (BASE + "host_name = 'x'\n", 4, "belongs into [system]"),
        (BASE + "match = 3\n", 4, "must be a table"),
        (BASE + "x = \n", 4, "not TOML: invalid value"),
        (BASE + "a = 1\na = 2\n", 5, "not TOML: cannot overwrite a value"),
        ("x = " + "[" * 3000, 0, "not TOML"),
        ("x = " + "9" * 6000, 0, "not TOML"),
        ("#" * 20000, 0, "room"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_line_and_sentence(text: str, line: int, message: str) -> None:
    found = problems(text)
    assert line in found, found
    assert message in found[line]


def test_reinstall_names_what_it_destroys_in_the_file_or_on_the_command_line() -> None:
    text = FULL.replace('"fresh"\nwhen_none = "fresh"', '"reinstall"').replace(
        '[wipe]\ndisk_serial = "S1"\n', ""
    )
    assert "[wipe] must name it" in problems(text)[0]
    assert parse(text, identity="S1").wipe is None


def test_the_command_lines_action_wins() -> None:
    assert parse(BASE, action="repair").action == "repair"
    assert "needs [system]" in " ".join(problems(BASE, action="fresh").values())


def test_rolling_back_needs_no_licence() -> None:
    assert parse('schema = 1\naction = "rollback"\n').action == "rollback"


def test_secrets_are_in_no_message_and_no_representation() -> None:
    assert HASH not in repr(parse(FULL)) and HASH not in str(parse(FULL))
    for broken in (
        FULL.replace(HASH, "hunter2-plain"),
        FULL.replace(f'"{HASH}"', "hunter2-plain"),
        FULL.replace(f'"{HASH}"', '"hunter2-plain\n'),
        FULL.replace(f'"{HASH}"', '["hunter2-plain"]'),
        FULL.replace(f'"{HASH}"', '"hunter2-plain" = 3'),
    ):
        with pytest.raises(AnswersError) as caught:
            parse(broken)
        assert "hunter2" not in str(caught.value) + repr(caught.value)


def test_the_preallocated_room_is_no_answer_and_its_padding_no_problem() -> None:
    assert answers_example.is_empty("# room for answers\n" + " " * 100 + "\n\0\0")
    assert not answers_example.is_empty(BASE)
    assert parse(BASE + "\0" * 5000).action == "upgrade"
    assert parse(BASE + " \n" * 5000).action == "upgrade"


def test_mutated_files_are_read_or_refused_and_nothing_else() -> None:
    dice = random.Random(7)
    tokens = [
        '"',
        "=",
        "[",
        "]",
        "\n",
        "{",
        "}",
        "''",
        "1e9",
        "1979-05-27",
        "\0",
        "é",
        "[[match]]\n",
        "a.b = 1\n",
        "#",
    ]
    for _ in range(3000):
        text = FULL
        for _ in range(dice.randint(1, 3)):
            place = dice.randrange(len(text))
            text = text[:place] + dice.choice(tokens) + text[place + dice.randint(0, 6) :]
        try:
            parse(text)
        except MediakitError as error:
            assert HASH not in str(error)


@given(
    st.recursive(
        st.one_of(st.booleans(), st.integers(-5, 5), st.just("x"), st.just(HASH)),
        lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["match", "action", "dns"]), inner, max_size=2)),
        max_leaves=4,
    ),
    st.sampled_from(["schema", "action", "match", "wipe", "system", "network", "end", "licence"]),
)  # fmt: skip
def test_values_of_any_kind_are_read_or_refused(value: object, key: str) -> None:
    def inline(item: object) -> str:
        if isinstance(item, bool):
            return str(item).lower()
        if isinstance(item, list):
            return "[" + ", ".join(map(inline, item)) + "]"
        if isinstance(item, dict):
            return "{" + ", ".join(f"{k} = {inline(v)}" for k, v in item.items()) + "}"
        return f'"{item}"' if isinstance(item, str) else str(item)

    text = f"{key} = {inline(value)}\n"
    assert tomllib.loads(text) == {key: value}
    with pytest.raises(AnswersError):
        parse(text)
