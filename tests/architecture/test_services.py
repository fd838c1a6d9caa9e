"""Three hops: `__main__` → `app.serve(settings, stop)` → the loop → the handler; and nothing happens at import."""

import ast
import subprocess
import sys
from typing import Any

import pytest

MAIN_LINES_MAX = 10

# Run in a process of its own: sys.addaudithook can't be taken back. A call is ours when a module of ours made it while
# it was being imported: outward from the call, our frame comes before the import system's. A file that a third party
# opens on our behalf is its own affair (pydantic looks for plugins when a class is made); a connection is not.
GUARD = """
import importlib, pathlib, sys

ours = tuple(sys.argv[1].split(","))
names = sys.argv[2:]
faults = []
FILES = ("open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.truncate", "shutil.")
ALWAYS = ("socket.", "subprocess.Popen", "os.system", "os.fork", "os.posix_spawn", "os.exec", "urllib.Request")

def hook(event, arguments):
    kind = "file" if event.startswith(FILES) else "always" if event.startswith(ALWAYS) else None
    if kind is None:
        return
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib") or file.endswith("pkgutil.py"):  # modules are found
            return
        if file.startswith(ours):
            faults.append(f"{file}:{frame.f_lineno}: {event} {arguments!r}"[:300])
            return
        if kind == "file" and "site-packages" in file:
            return
        frame = frame.f_back

sys.addaudithook(hook)
for name in names:
    importlib.import_module(name)
import threading
extra = set(threading.enumerate()) - {threading.main_thread()}
faults += [f"a thread is running: {thread.name}" for thread in extra]
sys.stderr.write("\\n".join(faults))
raise SystemExit(1 if faults else 0)
"""


def services(packages: list[Any]) -> list[Any]:
    found = [package for package in packages if package.is_service]
    assert len(found) == 5, [package.kebab for package in found]
    return found


def test_main_starts_the_app_and_does_nothing_else(packages: list[Any]) -> None:
    wrong = []
    for package in services(packages):
        file = package.source / "__main__.py"
        if not file.exists():
            wrong.append(f"{package.kebab} has no __main__.py")
            continue
        text = file.read_text()
        if len(text.splitlines()) > MAIN_LINES_MAX:
            wrong.append(f"{package.kebab}: __main__.py has {len(text.splitlines())} lines")
        if f"from {package.source.name}.app import serve" not in text or "run(" not in text:
            wrong.append(f"{package.kebab}: __main__.py does not run app.serve")
        if 'if __name__ == "__main__":' not in text:
            wrong.append(f"{package.kebab}: __main__.py starts when it is imported")
    assert not wrong, "\n".join(wrong)


def test_app_has_serve_with_settings_and_stop(packages: list[Any]) -> None:
    wrong = []
    for package in services(packages):
        app = next((module for module in package.modules if module.parts == ("app",)), None)
        found = [
            node
            for node in (app.tree.body if app else ())
            if isinstance(node, ast.AsyncFunctionDef) and node.name == "serve"
        ]
        if not found:
            wrong.append(f"{package.kebab} has no app.py with `async def serve`")
        elif [argument.arg for argument in found[0].args.args] != ["settings", "stop"]:
            wrong.append(f"{package.kebab}: serve takes {ast.unparse(found[0].args)}")
    assert not wrong, "\n".join(wrong)


def test_no_service_has_a_container_or_an_app_of_the_module(packages: list[Any]) -> None:
    """What a function needs is passed to it; the test of imports finds a client or pool made beside the functions."""
    wrong = []
    for package in services(packages):
        for module in package.modules:
            wrong += [
                f"{module.where}:{node.lineno}: global {', '.join(node.names)}"
                for node in ast.walk(module.tree)
                if isinstance(node, ast.Global)
            ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["libs", "contexts", "services", "infra"])
def test_importing_a_module_does_nothing(root: Any, packages: list[Any], folder: str) -> None:
    """No file read, no socket, no process, no thread and not a word printed."""
    chosen = [package for package in packages if package.directory.parent.name == folder]
    names = [module.dotted for package in chosen for module in package.modules]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", GUARD, ",".join(str(package.source) for package in chosen), *names],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", f"printed at import: {done.stdout}"


def test_the_guard_sees_what_it_looks_for(tmp_path: Any) -> None:
    bodies = {
        "reads": "import pathlib; pathlib.Path(__file__).read_text()",
        "connects": "import socket; socket.socket()",
        "prints": "print('loud')",
        "starts": "import threading, time; threading.Thread(target=time.sleep, args=(1,), daemon=True).start()",
        "quiet": "import json; VALUE = json.loads('1')",
    }
    outcome = {}
    for name, body in bodies.items():
        (tmp_path / f"{name}.py").write_text(body)
        done = subprocess.run(
            [sys.executable, "-c", GUARD, str(tmp_path), name],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(tmp_path)},
        )
        outcome[name] = (done.returncode, done.stdout)
    caught, silent = (1, ""), (0, "")
    expected = {"reads": caught, "connects": caught, "prints": (0, "loud\n"), "starts": caught, "quiet": silent}
    assert outcome == expected
