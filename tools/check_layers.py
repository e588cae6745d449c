#!/usr/bin/env python3
"""Hold every #include of src/ to the table in src/LAYERS, and foo_impl.h to its own room."""
import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parent.parent / 'src'


def table():
    rooms = {}
    for line in (SRC / 'LAYERS').read_text().splitlines():
        if line and not line.startswith('#'):
            room, _, below = line.partition(':')
            rooms[room.strip()] = {room.strip(), *below.split()}
    return rooms


def offences(rooms):
    for path in sorted(SRC.rglob('*.[ch]')):
        room = path.relative_to(SRC).parts[0]
        if room not in rooms:
            yield f'{path.relative_to(SRC)}: room {room}/ is not in src/LAYERS'
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            include = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not include:
                continue
            target = include[1]
            where = f'src/{path.relative_to(SRC)}:{number}'
            owner = target.split('/')[0]
            if not (SRC / target).is_file():
                yield f'{where}: "{target}" is not a path from src/'
            elif owner not in rooms[room]:
                yield f'{where}: {room}/ may not include {owner}/ (src/LAYERS)'
            elif target.endswith('_impl.h') and owner != room:
                yield f'{where}: {target} is for {owner}/ only'
        if 'dnnl.h' in path.read_text() and path.name != 'onednn.c':
            yield f'src/{path.relative_to(SRC)}: only nn/onednn.c includes dnnl.h'


found = list(offences(table()))
print('\n'.join(found) or 'layers: every include is allowed')
sys.exit(bool(found))
