/* deployment.h: a model in memory, with its tokenizer and its name, for as long as anybody needs it.
 *
 *     folder --open--> deployment (1 user) --keep--> one user more for each request it accepted
 *                                          --drop--> closed with the last
 *
 * That is the whole of a live swap: requests hold the deployment that accepted them, the endpoint
 * points to another, and the old one goes when its last request has been answered.
 *
 * Threads: any; what it holds is read-only, but the session, which belongs to the batcher.
 */
#ifndef HONE_SERVE_DEPLOYMENT_H
#define HONE_SERVE_DEPLOYMENT_H

#include "base/err.h"
#include "model/model.h"
#include "text/tokenizer.h"

typedef struct hone_deployment hone_deployment;

/* What is deployed. Strings are copied. */
typedef struct hone_plan {
    const char *config;       /* endpoint configuration */
    const char *variant;      /* production variant */
    const char *model;        /* model entity */
    const char *version_arn;  /* registered version; "" = none */
    const char *artifact_uri; /* s3://.../model.tar.gz */
    const char *folder;       /* its name in DIR/models; "" = not unpacked yet */
} hone_plan;

/* Load the model folder dir with so many threads, to multiply in dtype, and see it predict. CORRUPT, INVALID, NOT_FOUND
 * name what is wrong with it. */
HONE_NODISCARD hone_err hone_deployment_open(const char *dir, const hone_plan *plan,
                                             hone_dtype dtype, size_t threads,
                                             hone_deployment **out);
hone_deployment *hone_deployment_keep(hone_deployment *deployment);
void hone_deployment_drop(hone_deployment *deployment); /* NULL is allowed */

const hone_plan *hone_deployment_plan(const hone_deployment *deployment);
const hone_config *hone_deployment_config(const hone_deployment *deployment);
const hone_tokenizer *hone_deployment_tokenizer(const hone_deployment *deployment);

/* For the batcher's thread alone. */
hone_session *hone_deployment_session(hone_deployment *deployment);

/* What its batches took; older ones count less and less. Guarded by the batcher's lock. */
typedef struct hone_pace {
    double ns, tokens;
} hone_pace;
hone_pace *hone_deployment_pace(hone_deployment *deployment);

/* A copy of plan in one block, to be freed; NULL when there is no memory. */
hone_plan *hone_plan_copy(const hone_plan *plan);

#endif
