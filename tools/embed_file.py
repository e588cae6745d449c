#!/usr/bin/env python3
"""Write a file as C: embed_file.py OUT.c FILE NAME makes `const char NAME[]` and NAME_size."""
import pathlib
import sys

out, source, name = sys.argv[1:]
data = pathlib.Path(source).read_bytes() + b'\0'
rows = [', '.join(str(byte) for byte in data[i:i + 24]) for i in range(0, len(data), 24)]
pathlib.Path(out).write_text(
    f'/* Made by tools/embed_file.py from {pathlib.Path(source).name}. */\n'
    f'#include "pipeline/shipped_impl.h"\n\nconst char {name}[] = {{\n    '
    + ',\n    '.join(rows) + f'}};\nconst size_t {name}_size = sizeof {name} - 1;\n')
