#!/usr/bin/env python3
"""One peer engine, loaded once, that times itself when asked: the other end of compare.py.

    peer.py --peers DIR --kind infer --engine ov --model distilbert --threads 2

A request is a JSON line on stdin, its answer a JSON line on stdout:

    (at start)                                             {"version": "openvino 2026.4"}
    {"workload": "b8s128", "warm": 1, "repeat": 3}         {"seconds": [...], "tokens": n}
    {"logits": [[101, 7592, 102], ...]}                    {"logits": [[...], ...]}

--peers is the folder of the peer benchmarks: its common.py defines the workloads and finds the
models, prepared beforehand by the scripts beside it. What an engine needs before it can compute
(padding, building arrays) is part of its time, as in production."""
import argparse
import json
import os
import sys
import time

INFER = ['pt', 'ort', 'ov', 'ct2']
TRAIN = ['pt', 'pt-fused']
TOKENIZE = ['encode_batch_fast']
TRAIN_BATCHES = 2  # of a workload with many
TEXTS_AT_ONCE = 256


def load_pt(folder, threads):
    import torch
    import transformers
    torch.set_num_threads(threads)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32).eval()

    def forward(batch):
        ids, mask = map(torch.from_numpy, common.pad(batch))
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=mask).logits.numpy()
    return forward, f'torch {torch.__version__}, transformers {transformers.__version__}'


def load_ort(folder, threads):
    import numpy
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(f'{folder}/fused.onnx', options,
                                           providers=['CPUExecutionProvider'])

    def forward(batch):
        ids, mask = common.pad(batch)
        return session.run(None, {'ids': ids.astype(numpy.int32),
                                  'mask': mask.astype(numpy.int32)})[0]
    return forward, f'onnxruntime {onnxruntime.__version__}'


def load_ov(folder, threads):
    import openvino
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(f'{folder}/ov.xml'), 'CPU', {
        'INFERENCE_NUM_THREADS': threads, 'NUM_STREAMS': 1, 'INFERENCE_PRECISION_HINT': 'f32',
        'PERFORMANCE_HINT': 'LATENCY', 'ENABLE_CPU_PINNING': False})
    request = compiled.create_infer_request()

    def forward(batch):
        ids, mask = common.pad(batch)
        return request.infer({0: ids, 1: mask}, share_inputs=True)[0].copy()
    return forward, f'openvino {openvino.__version__}'


def load_ct2(folder, threads):
    """CTranslate2 has no classifier: the head is a few products in numpy."""
    import ctranslate2
    import numpy
    from safetensors.numpy import load_file
    encoder = ctranslate2.Encoder(f'{folder}/ct2', device='cpu', compute_type='float32',
                                  inter_threads=1, intra_threads=threads)
    weights = load_file(f'{folder}/model.safetensors')
    head, bias = weights['classifier.weight'].T.copy(), weights['classifier.bias']
    pre = weights.get('pre_classifier.weight')

    def forward(batch):
        out = encoder.forward_batch(batch)
        if pre is None:
            first = numpy.asarray(out.pooler_output)
        else:
            first = numpy.asarray(out.last_hidden_state)[:, 0]
            first = numpy.maximum(first @ pre.T + weights['pre_classifier.bias'], 0)
        return first @ head + bias
    return forward, f'ctranslate2 {ctranslate2.__version__}'


class Infer:
    def __init__(self, args):
        load = {'pt': load_pt, 'ort': load_ort, 'ov': load_ov, 'ct2': load_ct2}[args.engine]
        self.forward, self.version = load(common.hf_dir(args.model), args.threads)

    def prepare(self, name):
        batches = common.workload(name)
        return batches, sum(len(ids) for batch in batches for ids in batch)

    def run(self, batches):
        for batch in batches:
            self.forward(batch)


class Train:
    """A step: forward, backward, clipping, AdamW; dropout as in the model's config."""

    def __init__(self, args):
        import torch
        import transformers
        self.torch = torch
        torch.set_num_threads(args.threads)
        self.model = transformers.AutoModelForSequenceClassification.from_pretrained(
            common.hf_dir(args.model), dtype=torch.float32).train()
        more = {'fused': True} if args.engine == 'pt-fused' else {}
        self.adamw = torch.optim.AdamW(self.model.parameters(), lr=2e-5, weight_decay=0.01, **more)
        self.version = f'torch {torch.__version__}, transformers {transformers.__version__}'

    def prepare(self, name):
        batches = common.workload(name)[:TRAIN_BATCHES]
        tensors = [[self.torch.from_numpy(array) for array in common.pad(batch)] +
                   [self.torch.randint(0, 2, (len(batch),))] for batch in batches]
        return tensors, sum(len(ids) for batch in batches for ids in batch)

    def run(self, tensors):
        for ids, mask, labels in tensors:
            self.model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
            self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.adamw.step()
            self.adamw.zero_grad(set_to_none=True)


class Tokenize:
    """A workload is a file of a text a line."""

    def __init__(self, args):
        os.environ['TOKENIZERS_PARALLELISM'] = 'true' if args.threads > 1 else 'false'
        os.environ['RAYON_NUM_THREADS'] = str(args.threads)
        import tokenizers
        self.tokenizer = tokenizers.Tokenizer.from_file(
            common.hf_dir(args.model) + '/tokenizer.json')
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.version = f'tokenizers {tokenizers.__version__}'

    def prepare(self, name):
        with open(name, encoding='utf-8', newline='\n') as lines:
            texts = lines.read().removesuffix('\n').split('\n')
        blocks = [texts[i:i + TEXTS_AT_ONCE] for i in range(0, len(texts), TEXTS_AT_ONCE)]
        tokens = sum(len(one.ids) for block in blocks for one in self.tokenizer.encode_batch(block))
        return blocks, tokens

    def run(self, blocks):
        for block in blocks:
            _ = [one.ids for one in self.tokenizer.encode_batch_fast(block)]


def answer(peer, request, prepared):
    if 'logits' in request:
        return {'logits': peer.forward(request['logits']).tolist()}
    name = request['workload']
    if name not in prepared:
        prepared[name] = peer.prepare(name)
    work, tokens = prepared[name]
    for _ in range(request['warm']):
        peer.run(work)
    seconds = []
    for _ in range(request['repeat']):
        begin = time.perf_counter()
        peer.run(work)
        seconds.append(time.perf_counter() - begin)
    return {'seconds': seconds, 'tokens': tokens}


def main():
    # Libraries like to print: what they say goes to stderr, stdout is for answers alone.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    peer = {'infer': Infer, 'train': Train, 'tokenize': Tokenize}[args.kind](args)
    print(json.dumps({'version': peer.version}), file=answers, flush=True)
    prepared = {}
    for line in sys.stdin:
        print(json.dumps(answer(peer, json.loads(line), prepared)), file=answers, flush=True)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--peers', required=True)
    parser.add_argument('--kind', required=True, choices=['infer', 'train', 'tokenize'])
    parser.add_argument('--engine', required=True, choices=sorted({*INFER, *TRAIN, *TOKENIZE}))
    parser.add_argument('--model', required=True)
    parser.add_argument('--threads', type=int, required=True)
    args = parser.parse_args()
    sys.path.insert(0, args.peers)
    import common
    common.set_threads(args.threads)
    main()
