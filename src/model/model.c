/* model.c: loading a classifier to predict, once per process, and running it.
 *
 *     open: map the file -> check every tensor -> pack the matrices -> let go of the pages
 *                         `-> matrices that a start before packed from it: map them
 *
 * After packing, only the embeddings are still read from the file, a row at a time as tokens
 * ask for them; norms, biases and the head are copied, so that no prediction waits for them. */
#include "model/model.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "model/encoder_impl.h"
#include "model/packed.h"
#include "model/safetensors.h"
#include "nn/isa.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Which file something was read from, in which state. A change of its bytes changes a time, but
 * one within a tick of the clock that files are dated by. */
typedef struct identity {
    dev_t device;
    ino_t inode;
    off_t size_bytes;
    struct timespec modified, changed;
} identity;

enum { TICK_NS = 20000000 }; /* the longest that Linux has are 10 ms */

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
    /* Where packed weights are kept: */
    char *path, *kept_dir; /* of model.safetensors; NULL = nowhere */
    bool is_settled;       /* weights_file was older than a tick when it was opened */
    uint64_t sums;         /* of SHA256SUMS; 0 where there is none */
    atomic_bool is_kept;
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
    free(m->kept_dir);
    free(m->path);
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
    bool is_packed = m->packing.at && !stays_plain(&m->params, index);
    if (p->rank == 0 || is_packed) return HONE_OK;
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

/* Before packing, all of them; when the packed ones are there already, the others. */
static hone_err load_tensors(hone_model *m) {
    const hone_tensor **found = calloc(m->params.count, sizeof(const hone_tensor *));
    m->plain = calloc(m->params.count, sizeof(const float *));
    m->copies = calloc(m->params.count, sizeof(float *));
    hone_err err = HONE_OK;
    if (!found || !m->plain || !m->copies)
        err = hone_err_new(HONE_E_NOMEM, "no memory for weights");
    /* What was packed once was seen to be finite, and so was the rest of the file. */
    if (!hone_failed(err))
        err = m->packing.at ? hone_params_match(&m->params, m->file, found)
                            : hone_params_find(&m->params, m->file, found);
    for (size_t i = 0; i < m->params.count && !hone_failed(err); i++)
        err = load_plain(m, i, found[i]);
    free(found);
    return err;
}

static bool identify(const char *path, identity *out) {
    struct stat st;
    if (stat(path, &st) != 0) return false;
    *out = (identity){st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
    return true;
}

static bool is_same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const identity *a, const identity *b) {
    return a->device == b->device && a->inode == b->inode && a->size_bytes == b->size_bytes &&
           is_same_time(a->modified, b->modified) && is_same_time(a->changed, b->changed);
}

/* ---- packed weights, kept ---- */

/* What was pulled says what its files hold; what was not is known by its identity alone. */
static uint64_t find_sums(const char *dir) {
    char *path = NULL;
    hone_map map;
    uint64_t sums = 0;
    if (asprintf(&path, "%s/" HONE_SUMS_NAME, dir) < 0) return 0;
    if (!hone_failed(hone_map_open(path, &map))) {
        sums = hone_hash(0, map.bytes);
        hone_map_close(&map);
    }
    free(path);
    return sums;
}

static void push_identity(hone_buf *out, const char *what, const identity *file) {
    hone_buf_printf(out, "%s %llu:%llu %lld %lld.%09ld %lld.%09ld\n", what,
                    (unsigned long long)file->device, (unsigned long long)file->inode,
                    (long long)file->size_bytes, (long long)file->modified.tv_sec,
                    file->modified.tv_nsec, (long long)file->changed.tv_sec, file->changed.tv_nsec);
}

/* All that the packed weights depend on. The program's own file stands for how its kernels pack:
 * nobody can forget to count up a version. */
static hone_err describe_packed(const hone_model *m, hone_buf *out) {
    identity program;
    if (!identify("/proc/self/exe", &program))
        return hone_err_new(HONE_E_NOT_FOUND, "which program this is cannot be seen");
    push_identity(out, "weights", &m->weights_file);
    push_identity(out, "config", &m->config_file);
    push_identity(out, "program", &program);
    hone_buf_printf(out, "sums %016llx\n", (unsigned long long)m->sums);
    hone_buf_printf(out, "dtype %s\nisa %s\nlayers %zu\n", hone_dtype_name(m->dtype),
                    hone_isa_name(hone_isa_best()), m->config.layers);
    hone_shapes_describe(&m->shapes, out);
    return hone_buf_err(out);
}

/* Whatever is wrong with what is kept, the weights can be packed. */
static void map_kept(hone_model *m, hone_pool *pool) {
    hone_buf key;
    hone_str weights = {NULL, 0};
    hone_buf_init(&key, HONE_PACKED_KEY_MAX);
    hone_err err = describe_packed(m, &key);
    if (!hone_failed(err))
        err = hone_packed_open(m->kept_dir, hone_buf_str(&key), m->packing.total_bytes, pool,
                               &m->packing.map, &weights);
    if (!hone_failed(err)) {
        m->packing.at = weights.ptr;
        atomic_store(&m->is_kept, true);
    }
    hone_buf_done(&key);
}

hone_err hone_model_keep(hone_model *m) {
    identity now;
    hone_buf key;
    if (!m->kept_dir || !m->is_settled || atomic_exchange(&m->is_kept, true)) return HONE_OK;
    if (!identify(m->path, &now) || !is_same(&now, &m->weights_file))
        return hone_err_new(HONE_E_CONFLICT, "'%s' has changed", m->path);
    hone_buf_init(&key, HONE_PACKED_KEY_MAX);
    hone_err err = describe_packed(m, &key);
    hone_str weights = {m->packing.at, m->packing.total_bytes};
    if (!hone_failed(err)) err = hone_packed_save(m->kept_dir, hone_buf_str(&key), weights);
    hone_buf_done(&key);
    return err;
}

bool hone_model_is_kept(const hone_model *m) { return m->packing.memory == NULL; }

/* ---- loading ---- */

/* The layers' matrices in the file, packed; their pages are not wanted again. */
static hone_err pack(hone_model *m, hone_pool *pool) {
    HONE_TRY(load_tensors(m));
    hone_safetensors_release(m->file); /* all was read to be checked: not at once with the packed */
    HONE_TRY(hone_packing_reserve(&m->packing));
    HONE_TRY(hone_packing_fill(&m->packing, &m->params, m->plain, pool));
    drop_packed(m);
    return HONE_OK;
}

static hone_err load(const char *dir, hone_pool *pool, hone_model *m) {
    HONE_TRY(hone_config_load(dir, &m->config));
    HONE_TRY(hone_params_create(&m->config, &m->params));
    HONE_TRY(hone_safetensors_open(m->path, &m->file));
    HONE_TRY(hone_shapes_create(&m->config, m->dtype, &m->shapes));
    hone_packing_lay_out(&m->config, &m->shapes, false, m->config.layers, &m->packing);
    if (m->kept_dir) m->sums = find_sums(dir);
    if (m->kept_dir) map_kept(m, pool);
    hone_err err = m->packing.at ? load_tensors(m) : pack(m, pool);
    if (hone_failed(err)) return hone_err_wrap(err, "%s", m->path);
    m->weights = (hone_weights){&m->config, &m->params,  m->plain,
                                &m->shapes, &m->packing, hone_ops_best()};
    return HONE_OK;
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

/* A model to be loaded; NULL when there is no memory. */
static hone_model *make(const char *path, const identity *weights, const identity *config,
                        hone_dtype dtype, const char *kept_dir) {
    hone_model *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->dtype = dtype;
    m->weights_file = *weights;
    m->config_file = *config;
    m->path = strdup(path);
    if (kept_dir) m->kept_dir = strdup(kept_dir);
    int64_t changed_ns = weights->changed.tv_sec * INT64_C(1000000000) + weights->changed.tv_nsec;
    int64_t age_ns = hone_now_ms() * INT64_C(1000000) - changed_ns;
    m->is_settled = age_ns > TICK_NS;
    if (m->path && (m->kept_dir || !kept_dir)) return m;
    destroy(m);
    return NULL;
}

static hone_err open_locked(const char *dir, const char *path, const identity *weights,
                            const identity *config, hone_dtype dtype, const char *kept_dir,
                            hone_pool *pool, hone_model **out) {
    *out = share(weights, config, dtype);
    if (*out) return HONE_OK;
    hone_model *m = make(path, weights, config, dtype, kept_dir);
    if (!m) return hone_err_new(HONE_E_NOMEM, "no memory for a model");
    hone_err err = load(dir, pool, m);
    if (hone_failed(err)) {
        destroy(m);
        return err;
    }
    m->users = 1;
    m->next = shared.first;
    shared.first = m;
    *out = m;
    return HONE_OK;
}

hone_err hone_model_open(const char *dir, hone_dtype dtype, hone_pool *pool, hone_model **out) {
    return hone_model_open_kept(dir, dtype, NULL, pool, out);
}

hone_err hone_model_open_kept(const char *dir, hone_dtype dtype, const char *kept_dir,
                              hone_pool *pool, hone_model **out) {
    char *path = NULL, *config_path = NULL;
    hone_model *m = NULL;
    identity weights, config = {0}; /* loading says what is wrong with a config.json */
    hone_err err = HONE_OK;
    if (asprintf(&path, "%s/model.safetensors", dir) < 0) path = NULL;
    if (asprintf(&config_path, "%s/config.json", dir) < 0) config_path = NULL;
    if (!path || !config_path) err = hone_err_new(HONE_E_NOMEM, "no memory for a path");
    if (!hone_failed(err)) err = hone_config_refuse_adapter(dir);
    if (!hone_failed(err) && !identify(path, &weights))
        err = hone_err_new(HONE_E_NOT_FOUND,
                           hone_file_exists(dir) ? "no model.safetensors in '%s'"
                                                 : "there is no folder '%s'",
                           dir);
    if (!hone_failed(err)) {
        (void)identify(config_path, &config);
        /* Held while loading, so that two openers of one model load it once. */
        pthread_mutex_lock(&shared.lock);
        err = open_locked(dir, path, &weights, &config, dtype, kept_dir, pool, &m);
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
