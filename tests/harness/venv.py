"""Virtual environments that tests run in: made once, filled again when their list changes."""
import pathlib
import subprocess
import sys


def python_of(folder, requirements, without_deps=()):
    """The Python of the environment at folder, which has what the file of requirements lists, and
    the packages `without_deps` without what they ask for. CalledProcessError when pip fails."""
    folder, requirements = pathlib.Path(folder), pathlib.Path(requirements)
    python, filled = str(folder / 'bin' / 'python'), folder / 'filled'
    if filled.exists() and filled.read_text() == requirements.read_text():
        return python
    print(f'filling {folder.name} ...', flush=True)
    subprocess.run([sys.executable, '-m', 'venv', str(folder)], check=True)
    install = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    subprocess.run([*install, '-r', str(requirements)], check=True)
    for package in without_deps:
        subprocess.run([*install, '--no-deps', package], check=True)
    filled.write_text(requirements.read_text())
    return python
