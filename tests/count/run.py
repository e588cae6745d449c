#!/usr/bin/env python3
"""Count the instructions of tokenizer, parsers and HTTP under callgrind, beside those recorded.

    tests/count/run.py                   compare with counts.json; TAP. `make test` runs this
    tests/count/run.py --record          write counts.json: after a change that is meant to cost more,
                                         or that saves enough to be held
    tests/count/run.py --functions csv   where a subject's instructions go

A subject of count.c may need at most TOLERANCE more instructions than recorded. The counts are those of
the release tree, and of all that runs: libc and libraries included, the kernel not. They do not depend
on the clock, chance, the processor or the machine's load, but on the compiler, whose version stands in
counts.json; another one's are not compared. http alone runs threads, whose meetings cost a few
instructions more or less: its count is the difference between few requests and many, each the least
of several runs."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
RECORD = FOLDER / 'counts.json'
TOLERANCE = 0.03
REQUESTS = (20, 120)  # of http: the first are warm-up
HTTP_RUNS = 8

# valgrind shows programs the host's AVX2, and libraries choose by that: here they take what every x86-64
# has. Nothing else of the environment is passed on, as the stack's alignment depends on its size.
ENV = {
    'PATH': '/usr/bin:/bin', 'LC_ALL': 'C', 'HONE_ISA': 'generic',
    'GLIBC_TUNABLES': 'glibc.cpu.hwcaps=' + ','.join(f'-{feature}' for feature in (
        'AVX_Fast_Unaligned_Load', 'AVX2', 'AVX', 'ERMS', 'FSRM', 'SSE4_2', 'SSE4_1', 'SSSE3', 'BMI2', 'BMI1',
        'LZCNT', 'MOVBE', 'RTM', 'Prefer_No_VZEROUPPER', 'Fast_Unaligned_Copy')),
    'GNUTLS_CPUID_OVERRIDE': '0x1', 'NETTLE_FAT_OVERRIDE': 'none',
}


def vocabulary(texts):
    """A WordPiece vocabulary of the texts' own words but every fourth, which is left to be cut up."""
    words = sorted({word for text in texts for word in re.findall(r'[a-z]+', text.lower())})
    signs = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    pieces = {f'##{word[cut:]}' for word in words[::4] for cut in (1, 3) if word[cut:]}
    return ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *signs,
            *(word for index, word in enumerate(words) if index % 4 and len(word) > 1),
            *sorted(pieces | {f'##{sign}' for sign in signs})]


def tokenizer_json(words):
    """The golden tokenizer with another vocabulary."""
    tokenizer = json.loads((ROOT / 'tests/golden/text/uncased/tokenizer.json').read_text())
    tokenizer['model']['vocab'] = {word: index for index, word in enumerate(words)}
    return json.dumps(tokenizer, ensure_ascii=False)


def safetensors(tensors):
    """So many small tensors, named as a checkpoint's."""
    header = {'__metadata__': {'format': 'pt'}}
    for index in range(tensors):
        name = f'bert.encoder.layer.{index // 16}.attention.output.dense_{index % 16}.weight'
        header[name] = {'dtype': 'F32', 'shape': [2, 2], 'data_offsets': [16 * index, 16 * index + 16]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, 'little') + text + bytes(16 * tensors)


def page_input(texts):
    return {'taskObject': texts[0], 'initialValue': 'positive',
            'examples': [{'text': text, 'label': 'a < b', 'score': index / 7}
                         for index, text in enumerate(texts[:40])]}


PAGE = '''{% assign title = "Reviews of the week" | upcase %}<h1>{{ title }}</h1>
{%- for example in task.input.examples limit: 30 -%}
  {%- if forloop.first %}<ul>{% endif -%}
  {%- unless example.text contains "nothing" -%}
    <li class="{% if example.score > 2 %}high{% else %}low{% endif %}">
      {{ forloop.index }}: {{ example.text | truncate: 60 | replace: "the", "a" }} ({{ example.label }})
    </li>
  {%- endunless -%}
  {%- if forloop.last %}</ul>{% endif -%}
{%- endfor -%}
{% case task.input.initialValue %}{% when "positive" %}+{% else %}-{% endcase %}
{{ task.input.examples | to_json }}
'''


def lay_out(folder):
    """The inputs of count.c, all from files of the project."""
    rows = (ROOT / 'starter/train.csv').read_text().splitlines()
    texts = [row.rpartition(',')[0].strip('"') for row in rows[1:]]
    golden = [json.loads(line)['text']
              for line in (ROOT / 'tests/golden/text/uncased/cases.jsonl').read_text().splitlines()]
    (folder / 'tokenizer').mkdir()
    put = {
        'tokenizer/tokenizer.json': tokenizer_json(vocabulary(texts)),
        'sentences.csv': '\n'.join(rows) + '\n',
        'sentences.jsonl': ''.join(json.dumps({'text': text, 'label': 'x'}) + '\n' for text in texts),
        'unicode.jsonl': ''.join(json.dumps({'text': text, 'label': 'x'}) + '\n'
                                 for text in golden if not text.isascii() and '\0' not in text),
        'pipeline.json': (ROOT / 'pipelines/sentiment.json').read_text(),
        'sigv4.json': (ROOT / 'tests/golden/http/sigv4.json').read_text(),
        'config.json': (ROOT / 'tests/golden/model/bert/config.json').read_text(),
        'page.liquid': PAGE,
        'page.json': json.dumps(page_input(texts)),
        'chunked': ('40\r\n' + 'x' * 64 + '\r\n') * 200 + '0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n',
        'delete.xml': '<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' + ''.join(
            f'<Object><Key>reviews/{index}&amp;.json</Key></Object>' for index in range(300)) + '</Delete>',
    }
    for name, text in put.items():
        (folder / name).write_text(text, newline='')
    (folder / 'model.safetensors').write_bytes(safetensors(100))


def callgrind(program, folder, subject, *arguments):
    """The instructions of one run."""
    collect = [] if subject == 'http' else ['--toggle-collect=counted']
    out = folder / f'callgrind.{subject}{"".join(arguments)}'
    done = subprocess.run(['valgrind', '-q', '--tool=callgrind', f'--callgrind-out-file={out}', *collect,
                           str(program), subject, str(folder), *arguments],
                          env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout)
    return int(re.search(r'^totals: (\d+)', out.read_text(), re.MULTILINE)[1])


def count(program, folder, subject):
    if subject != 'http':
        return callgrind(program, folder, subject)
    few, many = (min(callgrind(program, folder, subject, str(times)) for _ in range(HTTP_RUNS))
                 for times in REQUESTS)
    return round((many - few) / (REQUESTS[1] - REQUESTS[0]))


def why_not(machine, recorded):
    """The reason to skip, or None."""
    if not shutil.which('valgrind'):
        return 'valgrind is not installed'
    if recorded and recorded['machine'] != machine:
        return f'{recorded["machine"]}, whose instructions are recorded, is not installed'
    return None


def compare(counts, known):
    """TAP of every subject; the exit status."""
    failed = False
    print(f'1..{len(counts)}')
    for number, (subject, now) in enumerate(counts.items(), 1):
        before = known.get(subject)
        fine = isinstance(now, int) and before is not None and now <= before * (1 + TOLERANCE)
        failed |= not fine
        print(f'{"ok" if fine else "not ok"} {number} - {subject}')
        if not isinstance(now, int):
            print(f'# {now}')
        elif before is None:
            print(f'# {subject} has no recorded count: tests/count/run.py --record')
        elif not fine or now < before * (1 - TOLERANCE):
            print(f'# figure: {subject}: {now:,} instructions, {now / before - 1:+.1%}, recorded are {before:,}')
    return int(failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', default='build', help='the release tree (default: build)')
    parser.add_argument('--record', action='store_true', help='write counts.json')
    parser.add_argument('--functions', metavar='SUBJECT', help='where its instructions go')
    args = parser.parse_args()
    program = ROOT / args.build / 'tests/count'
    said = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    machine, subjects = f'{said[0]}, {os.uname().machine}', said[1:]
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else None
    if reason := why_not(machine, None if args.record or args.functions else recorded):
        print(f'# skip: {reason}\nok 1 # SKIP counts\n1..1')
        return 0
    with tempfile.TemporaryDirectory(prefix='hone-count-') as name:
        folder = pathlib.Path(name)
        lay_out(folder)
        if args.functions:
            callgrind(program, folder, args.functions, *(['100'] if args.functions == 'http' else []))
            subprocess.run(['callgrind_annotate', *folder.glob('callgrind.*')], check=True)
            return 0

        def counted(subject):
            try:
                return count(program, folder, subject)
            except RuntimeError as error:
                return str(error).replace('\n', '\n# ')
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            counts = dict(zip(subjects, pool.map(counted, subjects)))
    if args.record:
        if wrong := [said for said in counts.values() if not isinstance(said, int)]:
            sys.exit('\n'.join(wrong))
        record = {'machine': machine, 'counts': counts}
        RECORD.write_text(json.dumps(record, indent=2) + '\n')
        return 0
    return compare(counts, recorded['counts'] if recorded else {})


if __name__ == '__main__':
    sys.exit(main())
