/* safetensors.h: the file format of weights, read in place and written whole.
 *
 *     [ u64 n | n bytes of JSON {"name": {"dtype","shape","data_offsets":[a,b]}, ...} | data ]
 *
 * Reading trusts nothing: the header's length, every offset, every shape is checked
 * against the file before a pointer is handed out.
 *
 * Ownership: tensors point into the mapped file and live until hone_safetensors_close.
 * Source: https://github.com/huggingface/safetensors (format).
 */
#ifndef HONE_MODEL_SAFETENSORS_H
#define HONE_MODEL_SAFETENSORS_H

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum { HONE_TENSOR_RANK_MAX = 8 };

typedef enum hone_tensor_type {
    HONE_F32,
    HONE_F16,
    HONE_BF16,
    HONE_I64,
    HONE_I32,
    HONE_OTHER
} hone_tensor_type;

typedef struct hone_tensor {
    const char *name; /* terminated */
    hone_tensor_type dtype;
    size_t rank;
    int64_t dims[HONE_TENSOR_RANK_MAX];
    size_t count;     /* elements: the product of dims */
    const void *data; /* little endian; may be unaligned */
    size_t size_bytes;
} hone_tensor;

typedef struct hone_safetensors hone_safetensors;

/* CORRUPT says what of the header lies. */
HONE_NODISCARD hone_err hone_safetensors_open(const char *path, hone_safetensors **out);

/* The same over bytes that outlive it, for the fuzzer; where names them in messages. */
HONE_NODISCARD hone_err hone_safetensors_parse(hone_str bytes, const char *where,
                                               hone_safetensors **out);
void hone_safetensors_close(hone_safetensors *file);

size_t hone_safetensors_count(const hone_safetensors *file);
const hone_tensor *hone_safetensors_get(const hone_safetensors *file, size_t index);

/* NULL when there is none of that name. */
const hone_tensor *hone_safetensors_find(const hone_safetensors *file, const char *name);

/* Let go of the file's pages in memory; the tensors stay readable. */
void hone_safetensors_release(const hone_safetensors *file);

/* Convert count elements of an F32, F16 or BF16 tensor to float. Nothing else is passed. */
void hone_tensor_to_f32(const hone_tensor *tensor, float *out);

/* One tensor to write: float, little endian. */
typedef struct hone_tensor_out {
    const char *name;
    size_t rank;
    int64_t dims[HONE_TENSOR_RANK_MAX];
    const float *data;
} hone_tensor_out;

/* Write tensors to path in one step, in the order given, with {"format":"pt"} as metadata
 * (transformers refuses a file without it). IO. */
HONE_NODISCARD hone_err hone_safetensors_save(const char *path, const hone_tensor_out *tensors,
                                              size_t count);

#endif
