"""What strangers wrote reaches a terminal as text."""

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sora_eval.util.progress import track
from sora_eval.util.terminal import Terminal
from sora_eval.util.visible import say, visible

TITLE = "\x1b]0;owned\x07"
HOSTILE = {
    TITLE: r"\x1b]0;owned\x07",
    "[/bold] [red]x[/red]": "[/bold] [red]x[/red]",
    ":boom:": ":boom:",
    "a\u202eb": r"a\u202eb",
    "\x9b2J": r"\x9b2J",
    "a\rb": r"a\x0db",
    "caf\udce9": r"caf\udce9",
    "caf\u00e9 \u4e2d": "caf\u00e9 \u4e2d",
}


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("text", HOSTILE)
def test_every_way_to_print_shows_the_text(text, terminal):
    out = io.StringIO()
    console = Terminal(file=out, force_terminal=terminal, width=200, color_system=None)
    table = Table(text, title=text)
    table.add_row(text)
    table.add_row(Text(text.replace("\r", "").replace("\x07", "")))  # rich drops these two itself
    for what in (text, table):
        console.print(what)
    console.print(text, style="bold")
    shown = out.getvalue()
    assert shown.count(HOSTILE[text]) >= 5
    assert visible(shown) == shown


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_the_text(monkeypatch, terminal):
    out = io.StringIO()
    monkeypatch.setattr(
        "sora_eval.util.progress.Terminal", lambda stderr: Terminal(file=out, force_terminal=terminal, width=200)
    )
    assert list(track([1, 2], f"oracle [/bold]{TITLE}")) == [1, 2]
    assert r"oracle [/bold]\x1b]0;owned\x07" in out.getvalue()
    assert TITLE not in out.getvalue()


def test_a_plain_console_would_not(capsys):
    out = io.StringIO()
    Console(file=out).print(TITLE)
    assert "\x1b]0;owned" in out.getvalue()
    say(TITLE)
    say("[/bold]", err=True)
    assert tuple(capsys.readouterr()) == (r"\x1b]0;owned\x07" + "\n", "[/bold]\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate", f"s{TITLE}.toml"], r"error: suite 's\x1b]0;owned\x07.toml' is neither a file nor shipped"),
        (["run", "quick", "-g", f"magic{TITLE}"], r"error: generator 'magic\x1b]0;owned\x07' is not known"),
        (["run", "videos", "-g", b"folder:caf\xe9"], r"error: generator 'folder:caf\udce9' is not UTF-8"),
        (["gate", b"caf\xe9[/bold]\x1b[2J"], r"caf\udce9[/bold]\x1b[2J"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_errors_of_the_command_line_are_text(tmp_path, arguments, message, encoding):
    command = [sys.executable, "-c", "from sora_eval.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    text = done.stderr.decode(encoding)
    assert done.returncode == 2, text
    assert message in text.replace("\\\\", "\\")
    assert "\x1b" not in text
