"""A copy of the provider's jsii package with only the modules that a program uses: 0.1 MB instead of 37 MB.

In every run jsii computes the digest of a package's tarball and reads the descriptions of all of its types, 35 MB. The
copy has the descriptions and the JavaScript of a few modules. It is made once, in seconds, and kept in the user's
cache. Its name depends on everything that it is made from: the tarball, the modules, and this file.
"""

import errno
import gzip
import hashlib
import io
import json
import os
import posixpath
import re
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path

from nixl_efa.files import written_at_once

# jsii shows where a script of a package is; with it a program finds the package's folder.
SCRIPT = "package.json"
# Loads a module when it is used, so that a module that a later copy adds is found too.
_INDEX = b"module.exports = new Proxy({}, { get: (_, module) => require(`./lib/${String(module)}.js`) });"
# The layout of a package's description: the types are between the first two; each type ends with the third.
_TYPES, _TYPES_END, _TYPE_END = b'\n  "types": {\n', b"\n    }\n  },\n", b"\n    },\n"
_NAMED = re.compile(rb'"@cdkt[fn]/provider-aws\.(\w+)\.')
_REQUIRE = re.compile(rb'require\("(\.[^"]+)"\)')


def small_provider(whole: Path, modules: Collection[str], directory: Path) -> Path:
    """The path of a tarball with only these modules (launchTemplate, ...) of the whole one; made if it does not exist.

    ValueError when the whole package is built differently; OSError when nothing can be written. A file with this name
    is always complete, and every process writes the same content, so several processes may do this at the same time.
    """
    stat = whole.stat()
    made_from = [
        str(whole.resolve()),
        stat.st_size,
        stat.st_mtime_ns,
        sorted(modules),
        Path(__file__).read_text("utf-8"),
    ]
    path = directory / f"provider-{hashlib.sha256(json.dumps(made_from).encode()).hexdigest()}.tgz"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (owned := directory.stat()).st_uid != os.getuid() or owned.st_mode & 0o022:
        raise PermissionError(
            errno.EPERM, "others can write to it", str(directory)
        )  # and Node.js runs what is there
    if path.is_file():
        return path
    with (
        written_at_once(path) as file,
        gzip.GzipFile("", "wb", 1, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as small,
    ):
        for name, content in _content(whole, modules):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            small.addfile(member, io.BytesIO(content))
    return path


def _content(whole: Path, modules: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The files of the small package, by name. ValueError when a file that they need would be missing."""
    yield "index.js", _INDEX
    folders: dict[str, str] = {}
    needed, there = {".jsii", SCRIPT}, set()
    with tarfile.open(whole, "r|gz") as tarball:
        for member in tarball:
            name = member.name.partition("/")[2]
            folder = name.removeprefix("lib/").partition("/")[0]
            if not (name in needed or (folder in folders and name.endswith(".js"))):
                continue
            content = tarball.extractfile(member).read()  # type: ignore[union-attr]  # it is a file
            if name == ".jsii":
                content, folders = _description(content, modules)
                for folder, module in folders.items():
                    yield f"lib/{module}.js", f'module.exports = require("./{folder}/index.js");'.encode()
                    needed.add(f"lib/{folder}/index.js")
            elif name == SCRIPT:
                content = json.dumps(
                    json.loads(content) | {"main": "index.js", "bin": {SCRIPT: SCRIPT}}
                ).encode()
            else:
                needed |= {_required(name, asked.decode()) for asked in _REQUIRE.findall(content)}
            there.add(name)
            yield name, content
    if missing := {name for name in needed if not {name, f"{name}.js", f"{name}/index.js"} & there}:
        raise ValueError(f"{', '.join(sorted(missing))} is not in it")


def _required(by: str, asked: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(by), asked))


def _description(whole: bytes, modules: Collection[str]) -> tuple[bytes, dict[str, str]]:
    """The package's description with the types of these modules and of the modules that they refer to; and the modules
    by their folders.

    Parsing the whole description would take 3 seconds and 1 GB.
    """
    start, end = whole.find(_TYPES), whole.rfind(_TYPES_END)
    if start < 0 or end < 0:
        raise ValueError("its types are not where they were")
    of_module: dict[bytes, list[bytes]] = {}
    for one in whole[start + len(_TYPES) : end].split(_TYPE_END):
        of_module.setdefault(one.split(b".", 2)[1], []).append(one)
    types: dict[str, dict[str, str]] = {}
    wanted = {module.encode() for module in modules}
    while wanted:
        for one in of_module.pop(wanted.pop(), []):
            wanted |= {module for module in _NAMED.findall(one) if module in of_module}
            types |= json.loads(b"{" + one + b"}}")
    about = json.loads(whole[:start] + b'\n"types": {' + whole[end + len(b"\n    }\n  ") :])
    kept = {name: value for name, value in about.items() if name not in ("readme", "submodules")}
    # A symbol's id: src/launch-template/index:LaunchTemplate
    folders = {one["symbolId"].split("/")[1]: name.split(".")[1] for name, one in types.items()}
    if not set(modules) <= set(folders.values()):
        raise ValueError(f"it has no types of {', '.join(sorted(set(modules) - set(folders.values())))}")
    return json.dumps(kept | {"types": types}).encode(), folders
