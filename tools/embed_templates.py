#!/usr/bin/env python3
"""Write the review pages of templates/ as C: embed_templates.py OUT.c FILE...

A table of names (the file's, without .html) and bytes, ending with a NULL name; what reads it is
src/cli/client/templates.c."""
import pathlib
import sys


def main():
    out, *files = sys.argv[1:]
    lines = ['#include "cli/client/templates_impl.h"', '', 'const hone_template hone_templates[] = {']
    for path in map(pathlib.Path, files):
        data = path.read_bytes()
        lines.append(f'    {{"{path.stem}", {{(const char[]){{')
        for at in range(0, len(data), 20):
            lines.append('        ' + ' '.join(f'{b if b < 128 else b - 256},' for b in data[at:at + 20]))
        lines.append(f'    }}, {len(data)}}}}},')
    lines += ['    {0}};', '']
    pathlib.Path(out).write_text('\n'.join(lines))


if __name__ == '__main__':
    main()
