/* model.h: a classifier loaded to predict: packed batch in, logits out.
 *
 *     embeddings -> layers x (attention, feed-forward) -> first token -> pooler -> head
 *
 * Weights are packed once for the matrix engine and shared: opening a folder that is open
 * already, unchanged, in the same dtype gives the same weights again. Start reading at encoder.c.
 *
 * Threads: a model is read-only and may be used by several threads, each with its own
 * session; a session belongs to one thread (and the pool it is given).
 */
#ifndef HONE_MODEL_MODEL_H
#define HONE_MODEL_MODEL_H

#include "base/err.h"
#include "base/pool.h"
#include "model/config.h"
#include "model/logits.h"
#include "nn/dtype.h"
#include "nn/pack.h"

#include <stdbool.h>
#include <stddef.h>

/* In a folder that was pulled: what its files held then. Packed weights are kept for that. */
#define HONE_SUMS_NAME "SHA256SUMS"

typedef struct hone_model hone_model;
typedef struct hone_session hone_session;

/* Load the checkpoint in dir, to multiply in dtype; a missing head is made new from seed 0. pool
 * speeds up packing. INVALID where dtype has no kernels. */
HONE_NODISCARD hone_err hone_model_open(const char *dir, hone_dtype dtype, hone_pool *pool,
                                        hone_model **out);

/* The same, taking the packed weights from the folder kept_dir (packed.h), when hone_model_keep
 * has left them there and nothing that they depend on has changed. NULL = none. */
HONE_NODISCARD hone_err hone_model_open_kept(const char *dir, hone_dtype dtype,
                                             const char *kept_dir, hone_pool *pool,
                                             hone_model **out);
/* Leave the packed weights in kept_dir for the next start: once, after the first answer. Nothing
 * to do when they came from there, or there is none. FULL, IO: they are not kept, no harm done. */
HONE_NODISCARD hone_err hone_model_keep(hone_model *model);
bool hone_model_is_kept(const hone_model *model); /* the packed weights came from kept_dir */

void hone_model_close(hone_model *model);

const hone_config *hone_model_config(const hone_model *model);
hone_dtype hone_model_dtype(const hone_model *model);

/* Scratch memory for forward passes; grows to the largest batch it has seen. */
HONE_NODISCARD hone_err hone_session_create(const hone_model *model, hone_session **out);
void hone_session_destroy(hone_session *session);

/* INVALID when an id, type or length is outside the model's; names the sequence. */
HONE_NODISCARD hone_err hone_model_check(const hone_model *model, const hone_pack *batch);

/* Logits of every sequence; batch passed hone_model_check. Borrowed until the session's next
 * call. NOMEM. */
HONE_NODISCARD hone_err hone_model_forward(hone_session *session, hone_pool *pool,
                                           const hone_pack *batch, hone_logits *out);

/* Hidden states after layer `layer` of [0, layers], 0 being the embedding output:
 * [tokens, hidden], borrowed until the session's next call. */
HONE_NODISCARD hone_err hone_model_hidden(hone_session *session, hone_pool *pool,
                                          const hone_pack *batch, size_t layer, const float **out);

#endif
