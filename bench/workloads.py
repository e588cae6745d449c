"""What is measured: the shapes of the models, and the token ids that every engine gets.

    lat:S                    one sequence of S tokens
    bBsS                     a batch of B sequences of S tokens
    short, imdb              256 or 64 sequences in order of arrival, whose lengths are lognormal
                             with a median of 24 or 230 tokens, in batches of 32
    short-sorted, ...        the same, longest first

Ids and lengths come from generators with fixed seeds: the same on every machine."""
import math
import random

SHAPES = {
    'distilbert': dict(layers=6, width=768, heads=12, inner=3072),
    'minilm': dict(layers=6, width=384, heads=12, inner=1536),
}
BATCH = 32
LENGTH_MIN, LENGTH_MAX = 4, 512
# name: (sequences, median length, sigma of its logarithm)
SETS = {'short': (256, 24, 0.6), 'imdb': (64, 230, 0.62)}
CLS, SEP = 101, 102
WORDS = (1000, 30000)  # ids of ordinary words in the vocabulary of BERT
IDS_SEED, LENGTHS_SEED = 7, 1


def _lengths(count, median, sigma):
    random_ = random.Random(LENGTHS_SEED)
    drawn = (math.exp(random_.gauss(math.log(median), sigma)) for _ in range(count))
    return [min(LENGTH_MAX, max(LENGTH_MIN, round(length))) for length in drawn]


def batches(name):
    """The workload as lists of sequences, each a list of ids."""
    if name.startswith('lat:'):
        size, lengths = 1, [int(name.removeprefix('lat:'))]
    elif name.partition('-')[0] in SETS:
        kind, _, order = name.partition('-')
        size, lengths = BATCH, _lengths(*SETS[kind])
        if order == 'sorted':
            lengths.sort(reverse=True)
    else:
        size, length = map(int, name.removeprefix('b').split('s'))
        lengths = [length] * size
    random_ = random.Random(IDS_SEED)
    rows = [[CLS, *(random_.randrange(*WORDS) for _ in range(n - 2)), SEP] for n in lengths]
    return [rows[i:i + size] for i in range(0, len(rows), size)]


def padded(batch):
    """(ids, mask) as arrays of the longest length, the way an engine that pads needs them."""
    import numpy
    ids = numpy.zeros((len(batch), max(map(len, batch))), numpy.int64)
    mask = numpy.zeros_like(ids)
    for i, row in enumerate(batch):
        ids[i, :len(row)], mask[i, :len(row)] = row, 1
    return ids, mask
