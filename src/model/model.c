/* model.c: loading a classifier to predict, once per process, and running it.
 *
 *     open: map the file -> check every tensor -> pack the matrices -> let go of the pages
 *
 * After packing, only the embeddings are still read from the file, a row at a time as tokens
 * ask for them; norms, biases and the head are copied, so that no prediction waits for them. */
#include "model/model.h"

#include "model/encoder_impl.h"
#include "model/safetensors.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Which file something was read from. */
typedef struct identity {
    dev_t device;
    ino_t inode;
    struct timespec modified;
} identity;

struct hone_model {
    hone_dtype dtype;
    hone_config config;
    hone_params params;
    hone_safetensors *file;
    const float **plain; /* [params.count] */
    float **copies;      /* [params.count]: what plain owns; NULL where it points into the file */
    hone_shapes shapes;
    hone_packing packing;
    hone_weights weights;
    /* Which files these are, to share them: */
    identity weights_file, config_file;
    /* Guarded by shared.lock: */
    size_t users;
    hone_model *next;
};

struct hone_session {
    const hone_model *model;
    hone_acts acts;
};

/* The models open in this process. */
static struct {
    pthread_mutex_t lock;
    /* Guarded by lock: */
    hone_model *first;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void destroy(hone_model *m) {
    if (!m) return;
    for (size_t i = 0; m->copies && i < m->params.count; i++) free(m->copies[i]);
    free(m->copies);
    free(m->plain);
    hone_packing_done(&m->packing);
    hone_shapes_done(&m->shapes);
    hone_params_done(&m->params);
    hone_safetensors_close(m->file);
    hone_config_done(&m->config);
    free(m);
}

/* Does the forward pass read this tensor as plain floats after packing? */
static bool stays_plain(const hone_params *params, size_t index) {
    if (index < HONE_EMBED_SLOTS) return true;
    if (index == hone_params_head(params, HONE_HEAD_W)) return true;
    return params->items[index].rank == 1;
}

/* The floats of parameter index: in the file when they can be read there, else a copy. */
static hone_err load_plain(hone_model *m, size_t index, const hone_tensor *tensor) {
    const hone_param *p = &m->params.items[index];
    if (p->rank == 0) return HONE_OK;
    bool readable = tensor && tensor->dtype == HONE_F32 && (uintptr_t)tensor->data % 4 == 0;
    bool in_file = p->rank == 2 && index != hone_params_head(&m->params, HONE_HEAD_W);
    if (readable && in_file) {
        m->plain[index] = tensor->data;
        return HONE_OK;
    }
    m->copies[index] = calloc(p->count, sizeof(float));
    if (!m->copies[index]) return hone_err_new(HONE_E_NOMEM, "no memory for weight '%s'", p->name);
    if (tensor)
        hone_tensor_to_f32(tensor, m->copies[index]);
    else
        hone_params_init(&m->params, index, m->config.init_std, 0, m->copies[index]);
    m->plain[index] = m->copies[index];
    return HONE_OK;
}

/* After packing: matrices of the layers are not read again. */
static void drop_packed(hone_model *m) {
    for (size_t i = 0; i < m->params.count; i++) {
        if (stays_plain(&m->params, i)) continue;
        free(m->copies[i]);
        m->copies[i] = NULL;
        m->plain[i] = NULL;
    }
    hone_safetensors_release(m->file);
}

static hone_err load_tensors(hone_model *m) {
    const hone_tensor **found = calloc(m->params.count, sizeof(const hone_tensor *));
    m->plain = calloc(m->params.count, sizeof(const float *));
    m->copies = calloc(m->params.count, sizeof(float *));
    hone_err err = HONE_OK;
    if (!found || !m->plain || !m->copies)
        err = hone_err_new(HONE_E_NOMEM, "no memory for weights");
    if (!hone_failed(err)) err = hone_params_find(&m->params, m->file, found);
    for (size_t i = 0; i < m->params.count && !hone_failed(err); i++)
        err = load_plain(m, i, found[i]);
    free(found);
    return err;
}

static hone_err load(const char *dir, const char *weights_path, hone_pool *pool, hone_model *m) {
    HONE_TRY(hone_config_load(dir, &m->config));
    HONE_TRY(hone_params_create(&m->config, &m->params));
    HONE_TRY(hone_safetensors_open(weights_path, &m->file));
    hone_err err = load_tensors(m);
    if (hone_failed(err)) return hone_err_wrap(err, "%s", weights_path);
    HONE_TRY(hone_shapes_create(&m->config, m->dtype, &m->shapes));
    HONE_TRY(hone_packing_create(&m->config, &m->shapes, false, &m->packing));
    hone_safetensors_release(m->file); /* all was read to be checked: not at once with the packed */
    HONE_TRY(hone_packing_fill(&m->packing, &m->params, m->plain, pool));
    drop_packed(m);
    m->weights = (hone_weights){&m->config, &m->params,  m->plain,
                                &m->shapes, &m->packing, hone_ops_best()};
    return HONE_OK;
}

static bool identify(const char *path, identity *out) {
    struct stat st;
    if (stat(path, &st) != 0) return false;
    *out = (identity){st.st_dev, st.st_ino, st.st_mtim};
    return true;
}

static bool is_same(const identity *a, const identity *b) {
    return a->device == b->device && a->inode == b->inode &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

/* The open model of the very same files, one user more; NULL when there is none. Weights alone
 * would not do: a link to them may stand beside a config.json with other labels. */
static hone_model *share(const identity *weights, const identity *config, hone_dtype dtype) {
    for (hone_model *m = shared.first; m; m = m->next)
        if (is_same(&m->weights_file, weights) && is_same(&m->config_file, config) &&
            m->dtype == dtype) {
            m->users++;
            return m;
        }
    return NULL;
}

static hone_err open_locked(const char *dir, const char *path, const identity *weights,
                            const identity *config, hone_dtype dtype, hone_pool *pool,
                            hone_model **out) {
    *out = share(weights, config, dtype);
    if (*out) return HONE_OK;
    hone_model *m = calloc(1, sizeof *m);
    if (!m) return hone_err_new(HONE_E_NOMEM, "no memory for a model");
    m->dtype = dtype;
    hone_err err = load(dir, path, pool, m);
    if (hone_failed(err)) {
        destroy(m);
        return err;
    }
    m->weights_file = *weights;
    m->config_file = *config;
    m->users = 1;
    m->next = shared.first;
    shared.first = m;
    *out = m;
    return HONE_OK;
}

hone_err hone_model_open(const char *dir, hone_dtype dtype, hone_pool *pool, hone_model **out) {
    char *path = NULL, *config_path = NULL;
    hone_model *m = NULL;
    identity weights, config = {0}; /* loading says what is wrong with a config.json */
    hone_err err = HONE_OK;
    if (asprintf(&path, "%s/model.safetensors", dir) < 0) path = NULL;
    if (asprintf(&config_path, "%s/config.json", dir) < 0) config_path = NULL;
    if (!path || !config_path) err = hone_err_new(HONE_E_NOMEM, "no memory for a path");
    if (!hone_failed(err)) err = hone_config_refuse_adapter(dir);
    if (!hone_failed(err) && !identify(path, &weights))
        err = hone_err_new(HONE_E_NOT_FOUND, "no model.safetensors in '%s'", dir);
    if (!hone_failed(err)) {
        (void)identify(config_path, &config);
        /* Held while loading, so that two openers of one model load it once. */
        pthread_mutex_lock(&shared.lock);
        err = open_locked(dir, path, &weights, &config, dtype, pool, &m);
        pthread_mutex_unlock(&shared.lock);
    }
    free(config_path);
    free(path);
    if (!hone_failed(err)) *out = m;
    return err;
}

void hone_model_close(hone_model *model) {
    if (!model) return;
    pthread_mutex_lock(&shared.lock);
    bool last = --model->users == 0;
    for (hone_model **at = &shared.first; last && *at; at = &(*at)->next)
        if (*at == model) {
            *at = model->next;
            break;
        }
    pthread_mutex_unlock(&shared.lock);
    if (last) destroy(model);
}

const hone_config *hone_model_config(const hone_model *model) { return &model->config; }
hone_dtype hone_model_dtype(const hone_model *model) { return model->dtype; }

hone_err hone_model_check(const hone_model *model, const hone_pack *batch) {
    return hone_pack_check(&model->config, batch);
}

hone_err hone_session_create(const hone_model *model, hone_session **out) {
    hone_session *s = calloc(1, sizeof *s);
    if (!s) return hone_err_new(HONE_E_NOMEM, "no memory for a session");
    s->model = model;
    hone_err err = hone_acts_init(&model->config, (hone_acts_plan){0}, &s->acts);
    if (hone_failed(err))
        free(s);
    else
        *out = s;
    return err;
}

void hone_session_destroy(hone_session *session) {
    if (!session) return;
    hone_acts_done(&session->acts);
    free(session);
}

hone_err hone_model_forward(hone_session *session, hone_pool *pool, const hone_pack *batch,
                            hone_logits *out) {
    const hone_weights *w = &session->model->weights;
    HONE_TRY(hone_acts_reserve(&session->acts, w, batch, hone_pool_threads(pool)));
    hone_pass_forward(&(hone_pass){.weights = w,
                                   .batch = batch,
                                   .acts = &session->acts,
                                   .pool = pool,
                                   .layers = w->config->layers,
                                   .first_only = true});
    *out = (hone_logits){batch->sequences, w->config->labels, session->acts.logits};
    return HONE_OK;
}

hone_err hone_model_hidden(hone_session *session, hone_pool *pool, const hone_pack *batch,
                           size_t layer, const float **out) {
    const hone_weights *w = &session->model->weights;
    HONE_TRY(hone_acts_reserve(&session->acts, w, batch, hone_pool_threads(pool)));
    hone_pass_forward(&(hone_pass){
        .weights = w, .batch = batch, .acts = &session->acts, .pool = pool, .layers = layer});
    *out = session->acts.out;
    return HONE_OK;
}
