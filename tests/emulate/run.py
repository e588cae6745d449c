#!/usr/bin/env python3
"""Run unit programs of the release tree on an emulated processor; `make test-avx512` is this.

    tests/emulate/run.py                                  # every program of PROGRAMS
    tests/emulate/run.py --match int8 --isa avx512        # as on a lesser processor

No machine that this project is built on has AVX-512. Bochs interprets every instruction as the processor
that it is told to be, with arithmetic of its own. What it boots is no operating system: the kernel
beside this file serves the few system calls of the programs, which are the unchanged ones of the
release tree with their libraries, oneDNN among them. For each of them a disk is made:

    sector 0  boot.S | 1-127  the kernel | 128-  the archive of files.h

Everything lies in build-emulate/. Some hundred times slower than the processor would be."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / 'tests'))
from harness import lifetime  # noqa: E402
from harness.report import Case, Report, read_tap  # noqa: E402
from harness.tree import Tree  # noqa: E402

PLACE = ROOT / 'build-emulate'
BOCHS = PLACE / 'bochs'
SECTOR, PAGE = 512, 4096
KERNEL_SECTORS = 127  # as layout.h says
CYLINDER = 16 * 63 * SECTOR  # a disk has whole ones
TIMEOUT_S = 3 * 3600

CPU = 'sapphire_rapids'  # has all of ISAS; HONE_ISA narrows it
ISAS = ['avx512', 'avx512_vnni', 'avx512_bf16']
# The programs, with the tables of kernels that each says it ran, of those that are new here.
PROGRAMS = {
    'test_product': [],  # first, as it takes longest
    'test_isa': [],
    'test_gradient': ['avx512', 'avx512_bf16'],
    'test_bf16': ['avx512', 'avx512_bf16'],
    'test_int8': ['avx512', 'avx512_vnni'],
    'test_ops': ['avx512'],
    'test_attention': ['avx512'],
    'test_dropout': ['avx512'],
    'test_adamw': [],
    'test_encoder': [],
    'test_tuner': [],
    'test_lora': [],
    'test_optimizer': [],
}
GOLDENS = ['model', 'train']  # what some of them read
# What the kernel says to a case that would write files: mkdir. Such a case is left out.
WRITES = '# system call 83 is not served'

# HONE_SHARED: the project's own goldens only. The allocator keeps to the heap, as memory.c wants it, and
# oneDNN keeps little of the machine code that nobody uses any more.
ENV = {
    'HONE_EMULATED': '1',
    'CMOCKA_MESSAGE_OUTPUT': 'TAP',
    'HONE_SHARED': '/none',
    'DNNL_PRIMITIVE_CACHE_CAPACITY': '64',
    'MALLOC_MMAP_MAX_': '0',
    'MALLOC_ARENA_MAX': '1',
    'OMP_NUM_THREADS': '1',
}

CONFIG = f'''
cpu: model={CPU}, count=1, ips=100000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
romimage: file={BOCHS}/bios.bin
vgaromimage: file={BOCHS}/vgabios.bin
display_library: nogui
ata0: enabled=1
ata0-master: type=disk, path=disk, mode=flat, cylinders=0, heads=16, spt=63
boot: disk
port_e9_hack: enabled=1
clock: sync=none
log: bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
'''

COMPILE = ['gcc', '-std=c17', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror', '-ffreestanding', '-nostdlib',
           '-static', '-fno-pic', '-no-pie', '-mgeneral-regs-only', '-mno-red-zone', '-fno-stack-protector',
           '-fcf-protection=none', '-fno-tree-loop-distribute-patterns', '-Wl,--build-id=none',
           '-Wl,--no-warn-rwx-segments']


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, text=True, stdout=subprocess.PIPE).stdout


def make_kernel():
    """The disk's first sectors: boot sector and kernel."""
    for name, source, flags in [('boot', [HERE / 'boot.S'], ['-Wl,-Ttext=0x7C00', '-Wl,-e,start']),
                                ('kernel', [HERE / 'entry.S', *sorted(HERE.glob('*.c'))], ['-T', HERE / 'kernel.ld'])]:
        run(*COMPILE, *flags, '-o', PLACE / f'{name}.elf', *source)
        run('objcopy', '-O', 'binary', PLACE / f'{name}.elf', PLACE / f'{name}.bin')
    boot, kernel = ((PLACE / f'{name}.bin').read_bytes() for name in ('boot', 'kernel'))
    assert len(boot) == SECTOR and len(kernel) <= KERNEL_SECTORS * SECTOR
    return boot + kernel.ljust(KERNEL_SECTORS * SECTOR, b'\0')


def padded(data, unit):
    return data + bytes(-len(data) % unit)


def texts(strings):
    return b''.join(s.encode() + b'\0' for s in [*strings, ''])


def make_archive(program, env, paths):
    """What files.h describes: file 0 says what to run."""
    start = texts([program]) + texts(f'{name}={value}' for name, value in env.items())
    names = [b'\0', *(str(path).encode() + b'\0' for path in paths)]
    datas = [start, *(pathlib.Path(path).read_bytes() for path in paths)]
    head = struct.calcsize('<QQ') + len(names) * struct.calcsize('<QQQ')
    name_at, data_at = head, len(padded(bytes(head) + b''.join(names), PAGE))
    table = b''
    for name, data in zip(names, datas):
        table += struct.pack('<QQQ', name_at, data_at, len(data))
        name_at += len(name)
        data_at += len(padded(data, PAGE))
    header = struct.pack('<QQ', data_at // SECTOR, len(names)) + table + b''.join(names)
    return padded(header, PAGE) + b''.join(padded(data, PAGE) for data in datas)


def files_of(program):
    """The program, its loader and libraries, and the goldens."""
    goldens = [str(path) for room in GOLDENS for path in (ROOT / 'tests/golden' / room).rglob('*') if path.is_file()]
    return sorted({program, *re.findall(r'(?:=> )?(/\S+) \(0x', run('ldd', program)), *goldens})


def emulate(place, kernel, program, env):
    """Run it in a folder of its own; what it printed, and the exit status or None."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / 'bochsrc').write_text(CONFIG)
    (place / 'disk').write_bytes(padded(kernel + make_archive(program, env, files_of(program)), CYLINDER))
    with open(place / 'output', 'w') as out:
        process = subprocess.Popen([BOCHS / 'bochs', '-q', '-f', 'bochsrc'], cwd=place, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=out, preexec_fn=lifetime.with_parent())
        try:
            process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    (place / 'disk').unlink()
    output = (place / 'output').read_text(errors='replace')
    end = re.search(r'^== exit (\d+)$', output, re.MULTILINE)
    return output[:end.start()] if end else output, int(end[1]) if end else None


def tables_of(output):
    said = re.search(r'^# tables: (.*)$', output, re.MULTILINE)
    return said[1].split() if said else []


def left_out(output):
    """The names of the cases that failed because they write files."""
    names, writes = set(), False
    for line in output.splitlines():
        writes = writes or line == WRITES
        if cases := read_tap(line)[0]:
            names |= {case.name for case in cases if writes}
            writes = False
    return names


def judge(output, status, wanted):
    """Its cases, and one for each table that it should have run; none for a case that cannot run here."""
    cases, planned = read_tap(output)
    failed = sum(case.outcome == 'failed' for case in cases)
    if status != failed or len(cases) != planned:
        cases.append(Case('the program', 'failed', f'exit status {status}, {planned} tests planned, {len(cases)} run'))
    ran, out = tables_of(output), left_out(output)
    return [case for case in cases if case.name not in out] + [
        Case(f'the table {table}', 'passed' if table in ran else 'failed', '') for table in wanted]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', default='build', help='the release tree (default: build)')
    parser.add_argument('--isa', choices=ISAS, action='append', help=f'HONE_ISA, may be repeated (default: {ISAS[-1]})')
    parser.add_argument('--match', type=re.compile, default=re.compile(''), metavar='REGEX')
    args = parser.parse_args()
    report, tree = Report(), Tree(args.build)
    PLACE.mkdir(exist_ok=True)
    names = [name for name in PROGRAMS if args.match.search(name)]
    if wrong := tree.build(*(f'tests/{name}' for name in names)):
        print(wrong)
        return 1
    subprocess.run([HERE / 'get_bochs'], check=True)
    kernel = make_kernel()
    paths = {name: path for suite in ('unit', 'unit-release') for name, path in tree.unit_programs(suite)}

    def job(isa, name):
        start = time.monotonic()
        output, status = emulate(PLACE / 'run' / f'{isa}-{name}', kernel, paths[name], {**ENV, 'HONE_ISA': isa})
        wanted = [table for table in PROGRAMS[name] if ISAS.index(table) <= ISAS.index(isa)]
        title = ' '.join([f'{isa} {name}', *(f'+{table}' for table in tables_of(output))])
        if out := left_out(output):
            title += f' ({len(out)} write files: left out)'
        report.add(title, time.monotonic() - start, judge(output, status, wanted), output)

    jobs = [(isa, name) for isa in args.isa or ISAS[-1:] for name in names]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda each: job(*each), jobs))
    return report.finish()


if __name__ == '__main__':
    sys.exit(main())
