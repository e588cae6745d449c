/* values.h: the parameters of a model as one flat array, from a checkpoint's folder.
 *
 *     DIR/config.json, DIR/model.safetensors --> values, a new head where the labels differ
 */
#ifndef HONE_MODEL_VALUES_H
#define HONE_MODEL_VALUES_H

#include "base/err.h"
#include "model/config.h"
#include "model/params.h"

#include <stdbool.h>
#include <stdint.h>

/* [params->total] floats, aligned to 64, for config, which may have other labels than the file:
 * then the head is made new from seed, and where the file's labels are config's first, the
 * file's rows of it are kept. Memory is taken once the file has what config.json asks for,
 * which may be anything. The caller frees *values, which may be set on failure, too.
 *   made_head   [HONE_HEAD_SLOTS]: which of the head's tensors the file did not have */
HONE_NODISCARD hone_err hone_values_load(const char *dir, const hone_config *config,
                                         const hone_params *params, uint64_t seed, float **values,
                                         bool *made_head);

/* count zeroed floats, aligned to 64; the caller frees them. NULL without memory. */
float *hone_values_alloc(size_t count);

#endif
