/* hub.c: see hub.h. The small files are fetched into memory, checked and saved; the weights go to
 *
 *     model.safetensors.incomplete   the bytes so far
 *     model.safetensors.etag         of which file they are a part
 *     model.safetensors              renamed when whole and checked
 *
 * A broken transfer is taken up at once, a few times, and again by the next call. */
#include "cli/hub.h"

#include "base/env.h"
#include "base/file.h"
#include "cli/checkpoint.h"
#include "cli/digest.h"
#include "cli/meter.h"
#include "http/client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_PART_MAX = 96,
    REVISION_MAX = 128,
    TOKEN_MAX = 1024,
    TRIES_MAX = 5, /* of one file in one call */
    STALL_TIMEOUT_MS = 30000,
    RANGE_NOT_SATISFIABLE = 416,
};

typedef struct hub {
    hone_arena *arena;
    hone_http_client *client;
    const hone_hub_model *model;
    const char *endpoint;
    const char *token;    /* NULL: none */
    const char *revision; /* escaped; the commit once it is known */
    const char *dir;
} hub;

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory to pull"); }

/* ---- names ---- */

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* One part of a name: "." and ".." cannot pass, nor anything that hides a file. */
static bool is_name_part(hone_str s) {
    if (s.len == 0 || s.len > NAME_PART_MAX) return false;
    if (!is_word(s.ptr[0]) || !is_word(s.ptr[s.len - 1])) return false;
    for (size_t i = 1; i < s.len; i++) {
        bool is_mark = s.ptr[i] == '-' || s.ptr[i] == '.';
        if (!is_word(s.ptr[i]) && !is_mark) return false;
        if (is_mark && s.ptr[i - 1] == s.ptr[i]) return false; /* the hub has no "--" or ".." */
    }
    return true;
}

hone_err hone_hub_check_name(const char *name) {
    const char *slash = strchr(name, '/');
    hone_str first = {name, slash ? (size_t)(slash - name) : strlen(name)};
    if (is_name_part(first) && (!slash || is_name_part(hone_str_of(slash + 1)))) return HONE_OK;
    return hone_err_new(HONE_E_INVALID,
                        "'%s' is no model name: expected NAME or ORG/NAME of letters, digits, "
                        "'-', '_' and '.'",
                        name);
}

hone_err hone_hub_check_revision(const char *revision) {
    size_t len = strlen(revision);
    bool ok = len > 0 && len <= REVISION_MAX && is_word(revision[0]) && is_word(revision[len - 1]);
    for (size_t i = 1; ok && i < len; i++) {
        bool is_mark = revision[i] == '.' || revision[i] == '/';
        ok = is_word(revision[i]) || revision[i] == '-' ||
             (is_mark && revision[i - 1] != '.' && revision[i - 1] != '/');
    }
    if (ok) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "'%s' is no revision: expected a branch, tag or commit",
                        revision);
}

const char *hone_hub_escape_revision(hone_arena *arena, const char *revision) {
    char *out = hone_arena_alloc(arena, 3, strlen(revision) + 1);
    if (!out) return NULL;
    char *end = out;
    for (const char *c = revision; *c; c++) {
        size_t n = *c == '/' ? 3 : 1;
        memcpy(end, *c == '/' ? "%2F" : c, n);
        end += n;
    }
    return out;
}

/* ---- what a reply says ---- */

/* An ETag without its weakness mark and quotes; empty when there is none. */
static hone_str etag_of(const hone_http_reply *reply) {
    hone_str tag = hone_http_reply_header(reply, "X-Linked-Etag");
    if (tag.len == 0) tag = hone_http_reply_header(reply, "ETag");
    if (hone_str_has_prefix(tag, HONE_S("W/"))) tag = (hone_str){tag.ptr + 2, tag.len - 2};
    if (tag.len >= 2 && tag.ptr[0] == '"' && tag.ptr[tag.len - 1] == '"')
        tag = (hone_str){tag.ptr + 1, tag.len - 2};
    return tag;
}

/* The size of the whole file; -1 when nothing tells. */
static int64_t total_of(const hone_http_reply *reply) {
    int64_t total = hone_http_reply_size(reply, "X-Linked-Size");
    if (total < 0 && reply->status == 200) total = hone_http_reply_size(reply, "Content-Length");
    return total;
}

static hone_err not_found_err(const hub *h, const hone_http_reply *reply, const char *file) {
    hone_str code = hone_http_reply_header(reply, "X-Error-Code");
    const char *name = h->model->name, *revision = h->model->revision;
    if (hone_str_equal(code, HONE_S("RevisionNotFound")))
        return hone_err_new(HONE_E_NOT_FOUND, "model '%s' has no revision '%s'", name, revision);
    if (hone_str_equal(code, HONE_S("RepoNotFound")))
        return hone_err_new(HONE_E_NOT_FOUND, "there is no model '%s' on %s", name, h->endpoint);
    return hone_err_new(HONE_E_NOT_FOUND,
                        "model '%s' has no '%s' at revision '%s' on %s: check the name and the "
                        "revision",
                        name, file, revision, h->endpoint);
}

static hone_err refused_err(const hub *h, int status) {
    return hone_err_new(HONE_E_INVALID, "%s refuses model '%s' (%d): %s", h->endpoint,
                        h->model->name, status,
                        h->token ? "the token has no access to it; check HF_TOKEN and the name"
                                 : "it is private or gated, or not there; set HF_TOKEN to a token "
                                   "that has access, or check the name");
}

/* HONE_OK for a status that brings a file. */
static hone_err check_status(const hub *h, const hone_http_reply *reply, const char *file) {
    int status = reply->status;
    if (status == 200 || status == 206) return HONE_OK;
    if (status == 401 || status == 403) return refused_err(h, status);
    if (status == 404) return not_found_err(h, reply, file);
    return hone_err_new(HONE_E_IO, "%s answered %d to a request for '%s' of model '%s'%s",
                        h->endpoint, status, file, h->model->name,
                        status == 429 || status >= 500 ? ": try again later" : "");
}

static const char *file_url(const hub *h, const char *file) {
    hone_buf url;
    hone_buf_init(&url, 4096);
    hone_buf_printf(&url, "%s/%s/resolve/%s/%s", h->endpoint, h->model->name, h->revision, file);
    const char *out = url.failed == HONE_E_NONE ? hone_arena_strdup(h->arena, hone_buf_str(&url))
                                                : NULL;
    hone_buf_done(&url);
    return out;
}

/* ---- small files ---- */

/* One file into memory; also after a broken connection, from its start. */
static hone_err get_small(const hub *h, const char *url, hone_buf *body, hone_http_reply *reply) {
    hone_http_request request = {.url = url, .token = h->token, .body = body};
    hone_err err = HONE_OK;
    for (int i = 0; i < TRIES_MAX; i++) {
        body->len = 0;
        err = hone_http_fetch(h->client, &request, reply);
        if (err.code != HONE_E_CLOSED) break;
    }
    return err;
}

static hone_err save_small(const hub *h, const char *name, hone_str bytes,
                           const hone_http_reply *reply) {
    const char *path = hone_path_join(h->arena, h->dir, name);
    if (!path) return no_memory();
    HONE_TRY(hone_digest_check(bytes, etag_of(reply), name));
    HONE_TRY(hone_file_save(path, bytes));
    fprintf(stderr, "%s  %.1f kB\n", name, (double)bytes.len / 1e3);
    return HONE_OK;
}

/* The other files come from the commit that the first one came from, should the branch move. */
static hone_err pin_commit(hub *h, const hone_http_reply *reply) {
    hone_str commit = hone_http_reply_header(reply, "X-Repo-Commit");
    if (!hone_digest_is_hex(commit, HONE_SHA1_HEX)) return HONE_OK;
    h->revision = hone_arena_strdup(h->arena, commit);
    return h->revision ? HONE_OK : no_memory();
}

static hone_err fetch_small(hub *h, const hone_checkpoint_file *file) {
    const char *url = file_url(h, file->name);
    const char *path = hone_path_join(h->arena, h->dir, file->name);
    if (!url || !path) return no_memory();
    hone_buf body;
    hone_buf_init(&body, (size_t)file->limit_bytes);
    hone_http_reply reply = {0};
    hone_err err = get_small(h, url, &body, &reply);
    bool is_absent = reply.status == 404 && !file->is_required;
    if (!hone_failed(err) && !is_absent) err = check_status(h, &reply, file->name);
    if (!hone_failed(err) && !is_absent)
        err = save_small(h, file->name, hone_buf_str(&body), &reply);
    if (!hone_failed(err) && is_absent)
        (void)unlink(path); /* an earlier call may have had it, of another commit */
    if (!hone_failed(err) && !is_absent) err = pin_commit(h, &reply);
    hone_buf_done(&body);
    return err;
}

/* ---- the weights ---- */

typedef struct weights {
    const hub *hub;
    const hone_checkpoint_file *file;
    const char *path;
    const char *incomplete;
    const char *etag_path;
    int fd;              /* of incomplete */
    hone_str etag;       /* of which file incomplete is a part; empty: unknown */
    int64_t start_bytes; /* how much of it is there */
    int64_t total_bytes; /* -1: unknown */
    bool has_changed;    /* the hub's file is another one now */
    hone_meter meter;
    bool is_metered;
} weights;

/* Forget the bytes so far. */
static hone_err weights_restart(weights *w) {
    w->start_bytes = 0;
    w->etag = (hone_str){NULL, 0};
    (void)unlink(w->etag_path); /* it may not be there */
    return ftruncate(w->fd, 0) == 0 ? HONE_OK : hone_file_err("truncate", w->incomplete);
}

static hone_err weights_open(weights *w) {
    hone_arena *arena = w->hub->arena;
    w->path = hone_path_join(arena, w->hub->dir, HONE_WEIGHTS_NAME);
    w->incomplete = hone_path_join(arena, w->hub->dir, HONE_WEIGHTS_NAME ".incomplete");
    w->etag_path = hone_path_join(arena, w->hub->dir, HONE_WEIGHTS_NAME ".etag");
    if (!w->path || !w->incomplete || !w->etag_path) return no_memory();
    /* Whole weights of a call that broke off just before its end are a part like another. */
    if (rename(w->path, w->incomplete) != 0 && errno != ENOENT)
        return hone_file_err("rename", w->path);
    w->fd = open(w->incomplete, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (w->fd < 0) return hone_file_err("create", w->incomplete);
    struct stat st;
    if (fstat(w->fd, &st) != 0) return hone_file_err("stat", w->incomplete);
    hone_err err = hone_file_load(arena, w->etag_path, 256, &w->etag);
    bool is_known = !hone_failed(err) && w->etag.len > 0 && st.st_size > 0;
    w->start_bytes = is_known ? st.st_size : 0;
    return is_known ? HONE_OK : weights_restart(w); /* bytes of who knows what */
}

/* Set the room aside now: a full disk is better known before the download than within it. */
static hone_err reserve_room(const weights *w) {
    if (w->total_bytes <= w->start_bytes) return HONE_OK;
    int rc = fallocate(w->fd, FALLOC_FL_KEEP_SIZE, 0, w->total_bytes);
    if (rc == 0 || errno != ENOSPC) return HONE_OK; /* not every file system can: try it */
    if (ftruncate(w->fd, w->start_bytes) != 0)      /* give back what part there was */
        return hone_file_err("truncate", w->incomplete);
    return hone_err_new(HONE_E_FULL, "no space left on the disk for the %.1f MB of '%s'",
                        (double)w->total_bytes / 1e6, w->incomplete);
}

/* The hub's answer, before any byte: the same file as the part's? Then remember which. */
static hone_err on_weights_reply(void *arg, const hone_http_reply *reply) {
    weights *w = arg;
    if (reply->status / 100 != 2 && reply->status / 100 != 3) return HONE_OK;
    hone_str etag = etag_of(reply);
    if (w->start_bytes > 0 && !hone_str_equal(etag, w->etag)) {
        w->has_changed = true;
        return hone_err_new(HONE_E_CONFLICT, "'%s' has changed on the hub", w->file->name);
    }
    int64_t total = total_of(reply);
    if (total >= 0) w->total_bytes = total;
    if (w->total_bytes > w->file->limit_bytes)
        return hone_err_new(HONE_E_FULL, "'%s' has %lld bytes, at most %lld are pulled",
                            w->file->name, (long long)w->total_bytes,
                            (long long)w->file->limit_bytes);
    HONE_TRY(reserve_room(w));
    if (w->start_bytes == 0) {
        char *copy = hone_arena_strdup(w->hub->arena, etag);
        if (!copy) return no_memory();
        w->etag = (hone_str){copy, etag.len};
        HONE_TRY(hone_file_save(w->etag_path, w->etag));
    }
    if (!w->is_metered) hone_meter_begin(&w->meter, w->file->name, w->start_bytes, w->total_bytes);
    w->is_metered = true;
    return HONE_OK;
}

static void on_weights_progress(void *arg, int64_t done_bytes) {
    weights *w = arg;
    hone_meter_step(&w->meter, done_bytes);
}

/* How much is there now; whole when it is all of it. */
static hone_err weights_measure(weights *w, bool has_ended, bool *is_whole) {
    struct stat st;
    if (fstat(w->fd, &st) != 0) return hone_file_err("stat", w->incomplete);
    if (w->total_bytes >= 0 && st.st_size > w->total_bytes) {
        HONE_TRY(weights_restart(w));
        return hone_err_new(HONE_E_CORRUPT, "'%s' came with %lld bytes, the hub says %lld",
                            w->file->name, (long long)st.st_size, (long long)w->total_bytes);
    }
    *is_whole = has_ended && (w->total_bytes < 0 || st.st_size == w->total_bytes);
    w->start_bytes = *is_whole || w->etag.len > 0 ? st.st_size : 0;
    if (!*is_whole)
        fprintf(stderr, "%s%s  broke off at %.1f MB: going on from %.1f MB\n",
                w->is_metered && w->meter.is_tty ? "\n" : "", w->file->name,
                (double)st.st_size / 1e6, (double)w->start_bytes / 1e6);
    return HONE_OK;
}

/* One request for what is missing. *is_whole when nothing is missing any more. */
static hone_err weights_try(weights *w, const char *url, bool *is_whole) {
    hone_http_file file = {.fd = w->fd,
                           .path = w->incomplete,
                           .start_bytes = w->start_bytes,
                           .limit_bytes = w->file->limit_bytes,
                           .on_progress = on_weights_progress};
    hone_http_request request = {
        .url = url, .token = w->hub->token, .file = &file, .on_reply = on_weights_reply, .arg = w};
    hone_http_reply reply;
    hone_err err = hone_http_fetch(w->hub->client, &request, &reply);
    if (w->has_changed) {
        w->has_changed = false;
        fprintf(stderr, "%s  changed since it was begun: starting anew\n", w->file->name);
        return weights_restart(w);
    }
    if (err.code == HONE_E_CLOSED) return weights_measure(w, false, is_whole);
    if (hone_failed(err)) return hone_err_wrap(err, "%s", w->file->name);
    if (reply.status == RANGE_NOT_SATISFIABLE) { /* nothing lies beyond the part */
        *is_whole = w->start_bytes > 0 && w->start_bytes == w->total_bytes;
        return *is_whole ? HONE_OK : weights_restart(w);
    }
    HONE_TRY(check_status(w->hub, &reply, w->file->name));
    return weights_measure(w, true, is_whole);
}

/* Whole bytes become the file, if their digest is right. */
static hone_err weights_accept(weights *w) {
    hone_map map;
    if (fsync(w->fd) != 0) return hone_file_err("sync", w->incomplete);
    HONE_TRY(hone_map_open(w->incomplete, &map));
    hone_err err = hone_digest_check(map.bytes, w->etag, w->file->name);
    if (!hone_failed(err) && w->hub->model->sha256)
        err = hone_digest_check(map.bytes, hone_str_of(w->hub->model->sha256), w->file->name);
    hone_map_close(&map);
    if (hone_failed(err)) {
        (void)unlink(w->incomplete); /* wrong bytes are no start for the next call */
        (void)unlink(w->etag_path);
        return hone_err_wrap(err, "model '%s', download deleted", w->hub->model->name);
    }
    if (rename(w->incomplete, w->path) != 0) return hone_file_err("rename to", w->path);
    return HONE_OK;
}

/* Is there such a file? A hub that does not answer HEAD has said nothing. */
static bool hub_has(const hub *h, const char *name) {
    const char *url = file_url(h, name);
    hone_http_request request = {.url = url, .token = h->token};
    hone_http_reply reply = {0};
    if (!url || hone_failed(hone_http_fetch(h->client, &request, &reply))) return false;
    return reply.status / 100 == 2 || reply.status / 100 == 3;
}

/* NOT_FOUND says what the repository has instead. */
static hone_err no_weights_err(const hub *h) {
    const char *name = h->model->name, *revision = h->model->revision;
    if (hub_has(h, HONE_WEIGHTS_NAME ".index.json"))
        return hone_err_new(HONE_E_NOT_FOUND,
                            "model '%s' at revision '%s' has its safetensors split over several "
                            "files, hone reads one " HONE_WEIGHTS_NAME,
                            name, revision);
    if (hub_has(h, "pytorch_model.bin"))
        return hone_err_new(
            HONE_E_NOT_FOUND,
            "model '%s' at revision '%s' has only pytorch_model.bin, no " HONE_WEIGHTS_NAME
            ": look for a revision that has one",
            name, revision);
    return hone_err_new(HONE_E_NOT_FOUND, "model '%s' at revision '%s' has no " HONE_WEIGHTS_NAME,
                        name, revision);
}

static hone_err fetch_weights(const hub *h, const hone_checkpoint_file *file) {
    weights w = {.hub = h, .file = file, .fd = -1, .total_bytes = -1};
    const char *url = file_url(h, file->name);
    bool is_whole = false;
    hone_err err = url ? weights_open(&w) : no_memory();
    for (int i = 0; !hone_failed(err) && !is_whole && i < TRIES_MAX; i++)
        err = weights_try(&w, url, &is_whole);
    if (!hone_failed(err) && !is_whole)
        err = hone_err_new(HONE_E_IO,
                           "'%s' broke off %d times, at %.1f MB: the next pull goes on from there",
                           file->name, TRIES_MAX, (double)w.start_bytes / 1e6);
    if (w.is_metered && hone_failed(err)) hone_meter_abort(&w.meter);
    if (w.is_metered && !hone_failed(err)) hone_meter_end(&w.meter, w.start_bytes);
    if (!hone_failed(err)) err = weights_accept(&w);
    if (w.fd >= 0) (void)close(w.fd); /* fsynced where it matters */
    return err.code == HONE_E_NOT_FOUND ? no_weights_err(h) : err;
}

/* ---- a model ---- */

/* A token goes into a header line: visible characters only. */
static bool is_token(hone_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~') return false;
    return s.len > 0 && s.len <= TOKEN_MAX;
}

/* $HF_TOKEN, else the file that the Hugging Face command line writes; NULL without one.
 * A file that cannot be read is as good as none: the hub says when one is needed. */
static hone_err find_token(hone_arena *arena, const char **out) {
    const char *token = hone_env("HF_TOKEN"), *home = hone_env("HOME");
    hone_str s = {NULL, 0};
    if (token) {
        s = hone_str_of(token);
    } else if (home) {
        const char *path = hone_path_join(arena, home, ".cache/huggingface/token");
        if (!path) return no_memory();
        if (hone_failed(hone_file_load(arena, path, TOKEN_MAX + 2, &s))) return HONE_OK;
    }
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[s.len - 1])) s.len--;
    if (s.len == 0) return HONE_OK;
    if (!is_token(s))
        return hone_err_new(HONE_E_INVALID,
                            "%s holds no token: expected one word of up to %d "
                            "plain characters",
                            token ? "HF_TOKEN" : "~/.cache/huggingface/token", TOKEN_MAX);
    *out = hone_arena_strdup(arena, s);
    return *out ? HONE_OK : no_memory();
}

static hone_err find_endpoint(hone_arena *arena, const char **out) {
    const char *given = hone_env("HF_ENDPOINT");
    hone_str s = hone_str_of(given ? given : "https://huggingface.co");
    while (s.len > 0 && s.ptr[s.len - 1] == '/') s.len--;
    if (!hone_str_has_prefix(s, HONE_S("http://")) && !hone_str_has_prefix(s, HONE_S("https://")))
        return hone_err_new(HONE_E_INVALID, "HF_ENDPOINT '%s' is no http or https URL", given);
    *out = hone_arena_strdup(arena, s);
    return *out ? HONE_OK : no_memory();
}

static hone_err fetch_all(hub *h) {
    char what[2 * NAME_PART_MAX + 16];
    (void)snprintf(what, sizeof what, "model '%s'", h->model->name);
    for (size_t i = 0; i + 1 < HONE_CHECKPOINT_FILES; i++) {
        const hone_checkpoint_file *file = &hone_checkpoint_files[i];
        HONE_TRY(fetch_small(h, file));
        if (strcmp(file->name, HONE_CONFIG_NAME) == 0)
            HONE_TRY(hone_checkpoint_check_config(h->arena, h->dir, what));
    }
    HONE_TRY(hone_checkpoint_check_tokenizer(h->arena, h->dir, what));
    return fetch_weights(h, &hone_checkpoint_files[HONE_CHECKPOINT_FILES - 1]);
}

hone_err hone_hub_fetch(hone_arena *arena, const hone_hub_model *model, const char *dir) {
    hub h = {.arena = arena, .model = model, .dir = dir};
    HONE_TRY(find_endpoint(arena, &h.endpoint));
    HONE_TRY(find_token(arena, &h.token));
    h.revision = hone_hub_escape_revision(arena, model->revision);
    if (!h.revision) return no_memory();
    HONE_TRY(hone_http_client_create(model->connect_timeout_ms, STALL_TIMEOUT_MS, &h.client));
    fprintf(stderr, "pulling %s (%s) from %s\n", model->name, model->revision, h.endpoint);
    hone_err err = fetch_all(&h);
    hone_http_client_destroy(h.client);
    return err;
}
