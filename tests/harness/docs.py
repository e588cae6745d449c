"""Every path of the repository that a document names in backticks exists.

A word in backticks is taken for such a path when it starts with something that stands in the root
or is a room of src/ (`base/err.h` is read from src/, as an #include is), or when it ends like one of
our sources (`dnnl.h` alone may be the system's). `<name>` and `*` stand for anything; at least one path must fit. What a build makes
and what lies outside the repository is not looked at."""
import re

from .tree import ROOT

DOCUMENTS = ['README.md', 'ARCHITECTURE.md', 'HACKING.md']
OUTSIDE = re.compile(r'\.\./|/|~|build|\.venv|\.cache')
PATH = re.compile(r'[\w.*<>{},+-]+(?:/[\w.*<>+-]+)*/?')
SOURCE = re.compile(r'.*/.*\.(?:c|h|py|md|build)|[^/]*\.(?:py|md)')


def looks_like_a_path(word):
    if not PATH.fullmatch(word) or OUTSIDE.match(word) or word.startswith('-'):
        return False
    first, slash, _ = word.partition('/')
    if slash and ((ROOT / first).is_dir() or (ROOT / 'src' / first).is_dir()):
        return True
    return bool(SOURCE.fullmatch(word))


def exists(word):
    pattern = re.sub(r'<[\w-]+>', '*', word).rstrip('/')
    return any(next(base.glob(pattern), None) for base in (ROOT, ROOT / 'src'))


def offences():
    found = []
    for name in DOCUMENTS:
        document = ROOT / name
        if not document.exists():
            continue
        for number, line in enumerate(document.read_text().splitlines(), 1):
            for word in re.findall(r'`([^`\s]+)`', line):
                if looks_like_a_path(word) and not exists(word):
                    found.append(f'{name}:{number}: `{word}` does not exist')
    return found
