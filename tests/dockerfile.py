"""The Dockerfile without Docker: its COPY and RUN lines as they stand, each stage in a folder and a fresh Python of its own.

`python -m tests.dockerfile FOLDER ARGUMENTS` builds the image in FOLDER and calls its entry point. The Python of a stage
borrows the dependencies of the one that runs this, so that nothing large is installed twice; the package itself is that of the
wheel. An absolute path of a command or of ENV is one in the stage's folder. USER is not imitated.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ARG", "ENV", "USER", "ENTRYPOINT", "CMD"}


@dataclass(frozen=True)
class Line:
    """One instruction: its name, its flags (`--from=build`), and the rest as it stands."""

    name: str
    flags: dict[str, str]
    rest: str

    @property
    def words(self) -> list[str]:
        """The rest as words of a shell, or of JSON where it is a list."""
        return [*map(str, json.loads(self.rest))] if self.rest.startswith("[") else shlex.split(self.rest)

    @property
    def pairs(self) -> dict[str, str]:
        """Names and values of ARG and ENV; '' where there is none."""
        return dict(word.partition("=")[::2] for word in self.words)


def parsed(text: str) -> list[Line]:
    """The instructions of a Dockerfile. Raises ValueError for one that is unknown, and for heredocs."""
    lines = []
    whole = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")).replace("\\\n", " ")
    for line in filter(str.strip, whole.splitlines()):
        name, _, rest = line.strip().partition(" ")
        if name not in KNOWN or "<<" in rest:
            raise ValueError(f"{line!r} is not understood; expected one of {', '.join(sorted(KNOWN))}, without heredocs")
        flags = {}
        while match := re.match(r"--([a-z]+)=(\S+)\s+", rest):
            flags[match[1]], rest = match[2], rest[match.end() :]
        lines.append(Line(name, flags, rest.strip()))
    return lines


@dataclass
class Stage:
    """A stage: the folder that is its root, the one in which commands run, and what its instructions left."""

    root: Path
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def path(self, text: str) -> Path:
        """A path of the image, absolute or in the current folder."""
        return self.root / text.lstrip("/") if text.startswith("/") else self.folder / text

    def call(self, command: Sequence[str], **given: str) -> int:
        """The exit code of a command in this stage."""
        around = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        path = f"{self.root / 'python/bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(command, cwd=self.folder, env={**around, **given, "PATH": path}, check=False).returncode

    def do(self, line: Line) -> None:
        """Obey an instruction other than FROM and COPY. Raises RuntimeError for a command that fails."""
        match line.name:
            case "WORKDIR":
                self.folder = self.path(line.rest)
                self.folder.mkdir(parents=True, exist_ok=True)
            case "RUN":
                command = re.sub(r"(?<=\s)/(?=\w)", f"{self.root}/", line.rest)
                if self.call(["sh", "-c", command], **self.arguments, **self.environment):
                    raise RuntimeError(f"RUN {line.rest} failed")
            case "ARG":
                self.arguments |= {k: os.environ.get(k, v) for k, v in line.pairs.items() if v or k in os.environ}
            case "ENV":
                self.environment |= {k: str(self.path(v)) if v.startswith("/") else v for k, v in line.pairs.items()}
            case "ENTRYPOINT":
                self.entry = line.words
            case "CMD":
                self.command = line.words


def build(text: str, context: Path, folder: Path) -> Stage:
    """The last stage of a Dockerfile. Raises ValueError for a line that is not understood, RuntimeError for one that fails."""
    stages: list[Stage] = []
    names: dict[str, Stage] = {}
    for line in parsed(text):
        if line.name == "FROM":
            root = folder / f"stage-{len(stages)}"
            stages.append(Stage(root, root))
            names[line.words[-1]] = stages[-1]
            root.mkdir(parents=True)
            _make_python(root / "python")
        elif not stages:
            raise ValueError(f"{line.name} stands before FROM")
        elif line.name == "COPY":
            source = names[line.flags["from"]] if "from" in line.flags else Stage(context, context)
            target = stages[-1].path(line.words[-1])
            if line.words[-1].endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
            _copy([source.path(word) for word in line.words[:-1]], target)
        else:
            stages[-1].do(line)
    return stages[-1]


def _make_python(folder: Path) -> None:
    venv.create(folder, with_pip=True, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")


def _copy(sources: list[Path], target: Path) -> None:
    """As COPY does: the content of a folder into the target; a file into it where it is a folder, else as it."""
    for source in sources:
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / source.name if target.is_dir() else target)


if __name__ == "__main__":
    image = build((ROOT / "Dockerfile").read_text(), ROOT, Path(sys.argv[1]).resolve())
    sys.exit(image.call([*image.entry, *(sys.argv[2:] or image.command)], **image.environment))
