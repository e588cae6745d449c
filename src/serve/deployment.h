/* deployment.h: a model in memory, with its tokenizer and its name, for as long as anybody needs it.
 *
 *     folder --open--> deployment (1 user) --keep--> one user more for each request it accepted
 *                                          --drop--> closed with the last
 *
 * That is the whole of a live swap: requests hold the deployment that accepted them, the endpoint
 * points to another, and the old one goes when its last request has been answered.
 *
 * Threads: any; what it holds is read-only, but the sessions, which belong to the batcher's lanes.
 */
#ifndef HONE_SERVE_DEPLOYMENT_H
#define HONE_SERVE_DEPLOYMENT_H

#include "base/err.h"
#include "model/model.h"
#include "text/tokenizer.h"

typedef struct hone_deployment hone_deployment;

/* Says in a model's Environment in which dtype it is to multiply. */
#define HONE_PLAN_DTYPE "HONE_DTYPE"

/* What is deployed. Strings are copied. */
typedef struct hone_plan {
    const char *config;       /* endpoint configuration */
    const char *variant;      /* production variant */
    const char *model;        /* model entity */
    const char *version_arn;  /* registered version; "" = none */
    const char *artifact_uri; /* s3://.../model.tar.gz */
    const char *folder;       /* its name in DIR/models; "" = not unpacked yet */
    const char *dtype;        /* in which it is to multiply; "" = as the server does */
} hone_plan;

typedef struct hone_deployment_options {
    hone_dtype dtype;     /* of plans that name none */
    size_t threads;       /* that load */
    size_t sessions;      /* batches that may run at once; 0 = 1 */
    const char *kept_dir; /* where packed weights may be kept (model/packed.h); NULL = nowhere */
} hone_deployment_options;

/* Load the model folder dir and see it predict. CORRUPT, INVALID, NOT_FOUND name what is wrong
 * with it. */
HONE_NODISCARD hone_err hone_deployment_open(const char *dir, const hone_plan *plan,
                                             const hone_deployment_options *options,
                                             hone_deployment **out);
hone_deployment *hone_deployment_keep(hone_deployment *deployment);
void hone_deployment_drop(hone_deployment *deployment); /* NULL is allowed */

/* Keep the packed weights for the next start, if they are not; a failure costs that start its
 * time, and nothing else. */
HONE_NODISCARD hone_err hone_deployment_save(hone_deployment *deployment);
/* Its weights were kept, and only mapped. */
bool hone_deployment_was_kept(const hone_deployment *deployment);

const hone_plan *hone_deployment_plan(const hone_deployment *deployment);
hone_dtype hone_deployment_dtype(const hone_deployment *deployment);
const hone_config *hone_deployment_config(const hone_deployment *deployment);
const hone_tokenizer *hone_deployment_tokenizer(const hone_deployment *deployment);

/* For the batcher's lane of that number alone. */
enum { HONE_DEPLOYMENT_SESSIONS_MAX = 4 };
hone_session *hone_deployment_session(hone_deployment *deployment, size_t lane);

/* What its batches took; older ones count less and less. Guarded by the batcher's lock. */
typedef struct hone_pace {
    double ns, tokens;
} hone_pace;
hone_pace *hone_deployment_pace(hone_deployment *deployment);

/* A copy of plan in one block, to be freed; NULL when there is no memory. */
hone_plan *hone_plan_copy(const hone_plan *plan);

#endif
