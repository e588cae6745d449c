#!/usr/bin/env python3
"""One peer engine, loaded once, that times itself when asked: the other end of compare.py.

    peer.py --models DIR --kind infer --engine ov --dtype int8 --model distilbert --threads 2

A request is a JSON line on stdin, its answer a JSON line on stdout:

    (at start)                                             {"version": "openvino 2026.4"}
    {"workload": "b8s128", "warm": 1, "repeat": 3}         {"seconds": [...], "tokens": n}
    {"logits": [[101, 7592, 102], ...]}                    {"logits": [[...], ...]}

--models has what prepare.py made. What an engine needs before it can compute (padding, building
arrays) is part of its time, as in production. An engine may compute in another type than the one
that was asked for, where the processor lacks it: its version then says so."""
import argparse
import json
import os
import sys
import time

TRAIN_BATCHES = 2  # of a workload with many
TEXTS_AT_ONCE = 256


def load_pt(folder, dtype, threads):
    import torch
    import transformers
    torch.set_num_threads(threads)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype={'f32': torch.float32, 'bf16': torch.bfloat16}[dtype]).eval()

    def forward(batch):
        ids, mask = map(torch.from_numpy, workloads.padded(batch))
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=mask).logits.float().numpy()
    return forward, f'torch {torch.__version__}, transformers {transformers.__version__}'


def load_ort(folder, dtype, threads):
    import numpy
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    file = {'f32': 'fused.onnx', 'int8': 'fused-int8.onnx'}[dtype]
    session = onnxruntime.InferenceSession(f'{folder}/{file}', options,
                                           providers=['CPUExecutionProvider'])

    def forward(batch):
        ids, mask = workloads.padded(batch)
        return session.run(None, {'ids': ids.astype(numpy.int32),
                                  'mask': mask.astype(numpy.int32)})[0]
    return forward, f'onnxruntime {onnxruntime.__version__}'


def load_ov(folder, dtype, threads):
    import openvino
    core = openvino.Core()
    file = 'ov-int8.xml' if dtype == 'int8' else 'ov.xml'
    hint = 'bf16' if dtype == 'bf16' else 'f32'
    compiled = core.compile_model(core.read_model(f'{folder}/{file}'), 'CPU', {
        'INFERENCE_NUM_THREADS': threads, 'NUM_STREAMS': 1, 'INFERENCE_PRECISION_HINT': hint,
        'PERFORMANCE_HINT': 'LATENCY', 'ENABLE_CPU_PINNING': False})
    request = compiled.create_infer_request()
    version = f'openvino {openvino.__version__.partition("-")[0]}'
    if dtype == 'bf16' and 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        version += ', in f32: no bf16 on this processor'

    def forward(batch):
        ids, mask = workloads.padded(batch)
        return request.infer({0: ids, 1: mask}, share_inputs=True)[0].copy()
    return forward, version


def load_ct2(folder, dtype, threads):
    """CTranslate2 has no classifier: the head is a few products in numpy."""
    import ctranslate2
    import numpy
    from safetensors.numpy import load_file
    encoder = ctranslate2.Encoder(
        f'{folder}/ct2', device='cpu', compute_type={'f32': 'float32', 'int8': 'int8'}[dtype],
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
    return forward, f'ctranslate2 {ctranslate2.__version__} {encoder.compute_type}'


class Infer:
    def __init__(self, args):
        load = {'pt': load_pt, 'ort': load_ort, 'ov': load_ov, 'ct2': load_ct2}[args.engine]
        self.forward, self.version = load(f'{args.models}/{args.model}', args.dtype, args.threads)

    def prepare(self, name):
        batches = workloads.batches(name)
        return batches, sum(len(ids) for batch in batches for ids in batch)

    def run(self, batches):
        for batch in batches:
            self.forward(batch)


class Train:
    """A step: forward, backward, clipping, AdamW; dropout as in the model's config. In bf16 the
    forward pass runs under autocast, as PyTorch recommends."""

    def __init__(self, args):
        import torch
        import transformers
        self.torch, self.bf16 = torch, args.dtype == 'bf16'
        torch.set_num_threads(args.threads)
        self.model = transformers.AutoModelForSequenceClassification.from_pretrained(
            f'{args.models}/{args.model}', dtype=torch.float32).train()
        self.adamw = torch.optim.AdamW(self.model.parameters(), lr=2e-5, weight_decay=0.01)
        self.version = f'torch {torch.__version__}, transformers {transformers.__version__}'

    def prepare(self, name):
        batches = workloads.batches(name)[:TRAIN_BATCHES]
        tensors = [[self.torch.from_numpy(array) for array in workloads.padded(batch)] +
                   [self.torch.randint(0, 2, (len(batch),))] for batch in batches]
        return tensors, sum(len(ids) for batch in batches for ids in batch)

    def run(self, tensors):
        for ids, mask, labels in tensors:
            with self.torch.autocast('cpu', self.torch.bfloat16, enabled=self.bf16):
                loss = self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
            loss.backward()
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
            f'{args.models}/{args.model}/tokenizer.json')
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--models', required=True)
    parser.add_argument('--kind', required=True, choices=['infer', 'train', 'tokenize'])
    parser.add_argument('--engine', required=True,
                        choices=['pt', 'ort', 'ov', 'ct2', 'encode_batch_fast'])
    parser.add_argument('--dtype', default='f32', choices=['f32', 'bf16', 'int8'])
    parser.add_argument('--model', required=True)
    parser.add_argument('--threads', type=int, required=True)
    args = parser.parse_args()
    os.sched_setaffinity(0, range(args.threads))
    os.environ |= {'OMP_NUM_THREADS': str(args.threads), 'MKL_NUM_THREADS': str(args.threads),
                   'HF_HUB_OFFLINE': '1', 'TRANSFORMERS_VERBOSITY': 'error',
                   'CUDA_VISIBLE_DEVICES': '', 'TOKENIZERS_PARALLELISM': 'false'}
    # Libraries like to print: what they say goes to stderr, stdout is for answers alone.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    peer = {'infer': Infer, 'train': Train, 'tokenize': Tokenize}[args.kind](args)
    print(json.dumps({'version': peer.version}), file=answers, flush=True)
    prepared = {}
    for line in sys.stdin:
        print(json.dumps(answer(peer, json.loads(line), prepared)), file=answers, flush=True)


if __name__ == '__main__':
    import workloads
    main()
