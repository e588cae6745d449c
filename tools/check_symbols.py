#!/usr/bin/env python3
"""tools/check_symbols.py TREE: what the objects of a built tree export, and to whom.

A function or object that only its own file uses is static; one name is defined once in all of src/.
What only a test uses is allowed: a parser, or a way to make a part fail. Exits with 1 when there
is something to mend, a line each."""
import collections
import json
import pathlib
import subprocess
import sys

DEFINED = set('TDBRVW')


def symbols(tree):
    """({name: objects that define it}, {name: objects that use it}); objects as paths in the tree."""
    defined, used = collections.defaultdict(set), collections.defaultdict(set)
    commands = json.loads((tree / 'compile_commands.json').read_text())  # those of files long gone may lie about
    objects = sorted({command['output'] for command in commands if (tree / command['output']).exists()})
    said = subprocess.run(['nm', '-g', '-A', *objects], cwd=tree, check=True, stdout=subprocess.PIPE, text=True)
    for line in said.stdout.splitlines():
        place, _, rest = line.partition(':')
        *_, kind, name = rest.split()
        if kind in DEFINED:
            defined[name].add(place)
        elif kind == 'U':
            used[name].add(place)
    return defined, used


def offences(tree):
    defined, used = symbols(tree)
    for name, places in sorted(defined.items()):
        ours = sorted(place for place in places if not place.startswith('tests/'))
        if not ours or name == 'main':
            continue
        if len(ours) > 1:
            yield f'{name} is defined in {" and ".join(ours)}'
        if not used[name] - places:
            yield f'{name} is exported by {ours[0]}, and used nowhere else'


def main():
    found = list(offences(pathlib.Path(sys.argv[1])))
    print(*found, sep='\n')
    return bool(found)


if __name__ == '__main__':
    sys.exit(main())
