"""The Dockerfile: what it says fits the project. `.ci/run` builds it (see tests/dockerfile.py) and calls its entry point."""

import re
import subprocess
import tomllib

import pytest

from tests.conftest import ROOT
from tests.dockerfile import build, parsed

LINES = parsed((ROOT / "Dockerfile").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def of(name):
    return [line for line in LINES if line.name == name]


def test_it_starts_from_a_small_python_that_the_project_takes():
    for line in of("FROM"):
        image, version = re.fullmatch(r"(python):3\.(\d+)-slim", line.words[0]).groups()
        assert (image, int(version) >= 11) == ("python", True)
    assert PROJECT["requires-python"] == ">=3.11"


def test_what_it_copies_is_there_and_no_folder_of_the_checkout_as_a_whole():
    copied = [word for line in of("COPY") if "from" not in line.flags for word in line.words[:-1]]
    assert copied
    assert all((ROOT / word).exists() for word in copied)
    assert not {".", "./", "*"} & set(copied)


def test_it_installs_extras_that_exist_and_ends_as_a_user_without_rights():
    (extras,) = [line.pairs["EXTRAS"] for line in of("ARG") if "EXTRAS" in line.pairs]
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]) - {"dev"}
    (user,) = of("USER")
    assert int(user.rest) > 0
    assert not [line for line in LINES[LINES.index(user) :] if line.name in ("RUN", "COPY")]
    (entry,), (command,) = of("ENTRYPOINT"), of("CMD")
    assert entry.words == ["sora-eval"]
    assert entry.words[0] in PROJECT["scripts"]
    assert command.words == ["--help"]


def test_its_commands_are_those_of_a_shell():
    for line in of("RUN"):
        subprocess.run(["sh", "-n", "-c", line.rest], check=True)


def test_the_page_builds_and_calls_it_with_folders_that_it_has():
    page = (ROOT / "docs/ci.md").read_text()
    calls = re.findall(r"docker run [^\n]*", page)
    assert "docker build --tag sora-eval ." in page
    assert len(calls) >= 2
    (folders,) = [line.words[3:] for line in of("RUN") if line.words[0] == "install"]
    for call in calls:
        assert set(re.findall(r"--volume \S+:(/\S+)", call)) <= set(folders)
    arguments = {name for line in of("ARG") for name in line.pairs}
    assert set(re.findall(r"--build-arg (\w+)=", page)) <= arguments


SMALL = """\
# a comment
FROM base AS first
WORKDIR /src
COPY one.txt ./
COPY folder ./folder
ARG WORD=left
RUN cat one.txt folder/two.txt > /out.txt && \\
    echo "$WORD" >> /out.txt

FROM base
ENV PLACE=/out KIND=plain
COPY --from=first /out.txt /taken/
RUN mkdir /out && cp /taken/out.txt "$PLACE/$KIND.txt"
WORKDIR /work
USER 1000
ENTRYPOINT ["cat"]
CMD ["/nothing"]
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.dockerfile._make_python", lambda folder: None)
    (tmp_path / "context/folder").mkdir(parents=True)
    (tmp_path / "context/one.txt").write_text("1\n")
    (tmp_path / "context/folder/two.txt").write_text("2\n")
    return tmp_path


def test_lines_are_obeyed_in_folders_of_their_stage(small):
    last = build(SMALL, small / "context", small / "image")
    assert last.path("/out/plain.txt").read_text() == "1\n2\nleft\n"
    assert (last.folder, last.entry, last.command) == (last.path("/work"), ["cat"], ["/nothing"])
    assert last.call([*last.entry, str(last.path("/out/plain.txt"))]) == 0
    assert last.call([*last.entry, "gone"]) != 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM base\nADD x y", "'ADD x y' is not understood"),
        ("FROM base\nRUN cat <<EOF", "without heredocs"),
        ("RUN true", "RUN stands before FROM"),
        ("FROM base\nRUN false", "RUN false failed"),
    ],
)
def test_a_line_that_cannot_be_obeyed_ends_the_build(small, text, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        build(text, small / "context", small / "image")
