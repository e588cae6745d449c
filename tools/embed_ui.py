#!/usr/bin/env python3
"""Build ui/dist/ when it is stale, and write it as one C file: tools/embed_ui.py OUT.c DEPFILE.

The file holds the table that src/api/page_file.h declares, sorted by path. DEPFILE tells ninja what to
watch. The build of the pages is tools/build_ui."""
import gzip
import hashlib
import importlib.machinery
import importlib.util
import pathlib
import re
import sys

TYPES = {
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.svg': 'image/svg+xml',
    '.png': 'image/png',
    '.woff2': 'font/woff2',
}
HASHED = re.compile(r'/assets/[^/]+-[\w-]{8}\.\w+$')  # Vite puts the hash of the content there


def build_ui():
    path = str(pathlib.Path(__file__).resolve().parent / 'build_ui')
    loader = importlib.machinery.SourceFileLoader('build_ui', path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('build_ui', loader))
    loader.exec_module(module)
    return module


def array(name, body):
    rows = [','.join(map(str, body[at:at + 32])) for at in range(0, len(body), 32)]
    return f'static const unsigned char {name}[] = {{\n' + ',\n'.join(rows) + '};\n'


def text(name, body):
    return f'{{(const char *){name}, sizeof({name})}}' if body else '{NULL, 0}'


def table(files):
    """files: [(path, bytes)], sorted."""
    arrays, rows = [], []
    for i, (path, body) in enumerate(files):
        packed = gzip.compress(body, 9, mtime=0)
        if len(packed) > len(body) * 0.9:
            packed = b''
        arrays.append(array(f'plain_{i}', body))
        if packed:
            arrays.append(array(f'gzip_{i}', packed))
        etag = hashlib.sha256(body).hexdigest()[:24]
        immutable = 'true' if HASHED.search(path) else 'false'
        rows.append(f'    {{"{path}", "{TYPES[pathlib.Path(path).suffix]}", "W/\\"{etag}\\"", '
                    f'{immutable},\n     {text(f"plain_{i}", body)}, {text(f"gzip_{i}", packed)}}},\n')
    return ('/* Made by tools/embed_ui.py from ui/dist/. */\n#include "api/page_file.h"\n\n'
            + ''.join(arrays)
            + f'const size_t hone_page_file_count = {len(files)};\n'
            + 'const hone_page_file hone_page_files[] = {\n' + ''.join(rows) + '};\n')


def main(out, depfile):
    ui = build_ui()
    ui.locked(ui.build)
    found = [(f'/ui/{path.relative_to(ui.DIST).as_posix()}', path) for path in ui.DIST.rglob('*')
             if path.is_file() and not path.name.startswith('.')]
    pathlib.Path(out).write_text(table([(name, path.read_bytes()) for name, path in sorted(found)]))
    watched = [*ui.sources(), *ui.folders(), ui.DIST / '.hone-stamp']
    names = ' '.join(str(path).replace(' ', '\\ ') for path in watched)
    pathlib.Path(depfile).write_text(f'{out}: {names}\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
