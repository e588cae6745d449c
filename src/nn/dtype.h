/* dtype.h: in which numbers a network multiplies.
 *
 *     f32   what the file says
 *     bf16  both sides rounded to 8 bits of mantissa, sums in f32
 *     int8  weights in whole numbers with a scale a column, activations with one a row
 *
 * Everything between the products (norms, attention, GELU, sums) is f32 in all of them.
 */
#ifndef HONE_NN_DTYPE_H
#define HONE_NN_DTYPE_H

#include "base/err.h"

typedef enum hone_dtype { HONE_DTYPE_F32, HONE_DTYPE_BF16, HONE_DTYPE_INT8 } hone_dtype;
enum { HONE_DTYPE_COUNT = HONE_DTYPE_INT8 + 1 };

/* "f32" (or "fp32"), "bf16", "int8"; "auto" is bf16 where the processor multiplies it by itself,
 * else f32: int8 may move a label and is taken only when asked for. INVALID names the text. */
HONE_NODISCARD hone_err hone_dtype_parse(const char *text, hone_dtype *out);

const char *hone_dtype_name(hone_dtype dtype);

#endif
