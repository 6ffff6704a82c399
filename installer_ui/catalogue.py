"""Keeps the catalogues: collects every sentence for users and merges new ones into ``locale/*/engine.po``.

``python -m installer_ui.catalogue`` writes the catalogues again and says what is not translated.
Sentences of the screens are the arguments of ``tr``, ``trn``, ``keys`` and the tables named below; those of
``mediakit`` are its literals and f-strings that read as sentences, each expression becoming a placeholder.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import mediakit
from installer_ui.i18n import LANGUAGES, LOCALE, Entry, parse_po
from mediakit.plain import dataclass

SCREENS = Path(__file__).parent
MEDIAKIT = Path(mediakit.__file__).parent
TABLES = {
    "ACTIONS",
    "EFFECTS",
    "STATES",
    "INTERRUPTED",
    "NOW",
    "TITLES",
    "LAYOUTS",
    "ENDS",
    "ORIGINS",
    "SLOT_STATES",
}
SENTENCES = (
    "install/*.py", "engine/versions.py", "engine/fields.py", "engine/password.py", "engine/signature.py",
    "engine/image.py", "block/safety.py", "block/usage.py", "block/target.py", "block/contents.py",
)  # fmt: skip
"""Where sentences come from that the screens show."""
PHRASES = (
    "install/plan.py",
    "install/execute.py",
    "install/detect.py",
    "install/evidence.py",
    "install/report.py",
    "block/contents.py",
)
"""Here phrases without a full stop are shown too: steps, what is kept, evidence."""
NOT_SHOWN = ("install/online.py", "install/journal.py")
"""Only spoken in a running Engine or to developers."""
HEADER = (
    "Project-Id-Version: engine-installer\\n"
    "Language: {language}\\n"
    "MIME-Version: 1.0\\n"
    "Content-Type: text/plain; charset=UTF-8\\n"
    "Content-Transfer-Encoding: 8bit\\n"
    "Plural-Forms: nplurals=2; plural=(n != 1);\\n"
)


@dataclass(frozen=True)
class Message:
    """A sentence in English, with its plural if it has one, and the file that says it first."""

    msgid: str
    plural: str
    where: str


def collect() -> dict[str, Message]:
    """Every message of screens and ``mediakit``, in the order of files and lines."""
    found: dict[str, Message] = {}
    for path in sorted(SCREENS.rglob("*.py")):
        if path.name != "catalogue.py":
            where = f"installer_ui/{path.relative_to(SCREENS)}"
            for msgid, plural in _of_screens(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault(msgid, Message(msgid, plural, where))
    for path in sorted({path for pattern in SENTENCES for path in MEDIAKIT.glob(pattern)}):
        name = str(path.relative_to(MEDIAKIT))
        if name not in NOT_SHOWN:
            for msgid in _of_mediakit(ast.parse(path.read_text(encoding="utf-8")), phrases=name in PHRASES):
                found.setdefault(msgid, Message(msgid, "", f"mediakit/{name}"))
    return found


def _of_screens(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            texts = [s for argument in node.args for s in _strings(argument)]
            if name == "trn" and len(texts) >= 2:
                yield texts[0], texts[1]
            elif name in ("tr", "keys", "mark"):
                yield from ((text, "") for text in texts)
            elif name in ("Offer", "Result", "UsageError"):
                yield from ((text, "") for text in texts if " " in text)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "FAULT":
                yield from ((text, "") for text in _strings(node.value))
            if node.targets[0].id in TABLES and isinstance(node.value, ast.Dict):
                yield from ((text, "") for value in node.value.values for text in _strings(value))
        elif isinstance(node, ast.ClassDef) and node.name == "Step":
            values = [child.value for child in node.body if isinstance(child, ast.Assign)]
            yield from ((text, "") for value in values for text in _strings(value))
        elif isinstance(node, ast.Return) and node.value is not None:
            yield from ((text, "") for text in _strings(node.value) if re.fullmatch(r"[A-Z].* .*\.", text))


def _strings(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.strip()) > 1:
        yield node.value
    elif isinstance(node, ast.Tuple):
        for child in node.elts:
            yield from _strings(child)
    elif isinstance(node, ast.IfExp):
        yield from _strings(node.body)
        yield from _strings(node.orelse)


def _of_mediakit(tree: ast.Module, *, phrases: bool) -> Iterator[str]:
    skipped = set(_docstrings(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            text = _template(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            text = node.value
        else:
            continue
        if _is_sentence(text, phrases=phrases):
            yield text


def _docstrings(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        for child in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                yield id(child.value)


def _is_sentence(text: str, *, phrases: bool) -> bool:
    words = text.strip()
    if " " not in words or "\n" in words or not re.match(r"[A-Z{“]", words):
        return False
    literal = re.sub(r"\{\w+\}", "", words)
    if not re.search(r"[a-z]{3,}", literal) or words != text:
        return False
    return phrases or words.endswith((".", "!", "?"))


def _template(node: ast.JoinedStr) -> str:
    """An f-string with a named placeholder for each expression."""
    out = ""
    names: dict[str, str] = {}
    for part in node.values:
        if isinstance(part, ast.Constant):
            out += str(part.value)
        elif isinstance(part, ast.FormattedValue):
            source = ast.unparse(part.value)
            name = _name(part.value)
            while names.setdefault(name, source) != source:
                name += "2"
            out += f"{{{name}}}"
    return out


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr.lower()
    if isinstance(node, ast.Name):
        return node.id.lower()
    if isinstance(node, ast.Call) and node.args:
        return _name(node.args[0])
    if isinstance(node, ast.Subscript | ast.Await | ast.Starred):
        return _name(node.value)
    if isinstance(node, ast.BoolOp):
        return _name(node.values[0])
    return "what"


def write(path: Path, language: str, messages: dict[str, Message], known: dict[str, Entry]) -> None:
    """The catalogue again: all ``messages`` with what ``known`` has of them, in a fixed order."""
    blocks = ['msgid ""\nmsgstr ""\n' + "\n".join(
        f'"{line}\\n"' for line in HEADER.format(language=language).split("\\n") if line
    )]  # fmt: skip
    for message in messages.values():
        entry = known.get(message.msgid)
        texts = entry.texts if entry else ("", "") if message.plural else ("",)
        lines = [f"#: {message.where}", f"msgid {_quote(message.msgid)}"]
        if message.plural:
            lines.append(f"msgid_plural {_quote(message.plural)}")
            lines += [f"msgstr[{n}] {_quote(text)}" for n, text in enumerate(texts)]
        else:
            lines.append(f"msgstr {_quote(texts[0])}")
        blocks.append("\n".join(lines))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def main() -> int:
    """Write every catalogue again; status 1 where something is not translated."""
    messages = collect()
    missing = 0
    for language in LANGUAGES:
        if language == "en":
            continue
        path = LOCALE / language / "engine.po"
        known = {e.msgid: e for e in parse_po(path.read_text(encoding="utf-8"))} if path.is_file() else {}
        write(path, language, messages, known)
        empty = [m for m in messages if m not in known or not all(known[m].texts)]
        missing += len(empty)
        for msgid in empty:
            sys.stdout.write(f"{language}: {msgid}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
