/* native_job.c: see native_job.h. */
#include "pipeline/native_job.h"

#include "base/file.h"
#include "base/json.h"
#include "pipeline/native_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { JSON_BYTES_MAX = 64 << 20 };

/* Data sets and an optimiser's state: as much as there is. */
static const size_t memory_max = (size_t)256 << 30;

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a job"); }

char *hone_native_path(const hone_native *job, const char *name) {
    return hone_path_join(job->arena, job->folder, name);
}

char *hone_native_uri(const hone_native *job, const char *uri, const char *name) {
    size_t len = strlen(uri);
    while (len > 0 && uri[len - 1] == '/') len--;
    char *out = hone_arena_alloc(job->arena, len + strlen(name) + 2, 1);
    if (out) (void)snprintf(out, len + strlen(name) + 2, "%.*s/%s", (int)len, uri, name);
    return out;
}

void hone_native_progress(const hone_native *job, double share, double loss, double left_s,
                          const char *message) {
    json_t *line = json_pack("{s:f, s:s}", "Share", share, "Message", message);
    if (line && loss >= 0) json_object_set_new(line, "Loss", json_real(loss));
    if (line && left_s >= 0) json_object_set_new(line, "SecondsLeft", json_real(left_s));
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    const char *path = hone_native_path(job, "progress.jsonl");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    /* Progress is a courtesy: where it cannot be written, the work goes on. */
    if (fd >= 0 && text) (void)dprintf(fd, "%s\n", text);
    if (fd >= 0) (void)close(fd);
    free(text);
    json_decref(line);
}

hone_err hone_native_output(const hone_native *job, const char *path, const char *uri) {
    if (!uri) return no_memory();
    json_t *files = json_object_get(job->result, "files");
    json_t *file = json_pack("{s:s, s:s}", "path", path, "uri", uri);
    return json_array_append_new(files, file) == 0 ? HONE_OK : no_memory();
}

const json_t *hone_native_files(const hone_native *job, const char *input) {
    return json_object_get(job->files, input);
}

/* --- the job ------------------------------------------------------------------------ */

static hone_err load(hone_native *job, const char *name, json_t **out) {
    const char *path = hone_native_path(job, name);
    return path ? hone_json_load(path, JSON_BYTES_MAX, out) : no_memory();
}

static hone_err make_out(const hone_native *job) {
    const char *path = hone_native_path(job, "out");
    return path ? hone_folder_make(path, 0700) : no_memory();
}

static hone_err open_job(hone_native *job) {
    HONE_TRY(load(job, "job.json", &job->spec));
    HONE_TRY(load(job, "in/files.json", &job->files));
    job->step = json_string_value(json_object_get(job->spec, "step"));
    if (!job->step) job->step = "";
    job->result = json_pack("{s:[]}", "files");
    return job->result ? make_out(job) : no_memory();
}

static hone_err do_work(hone_native *job) {
    hone_str kind = hone_json_str(json_object_get(job->spec, "kind"));
    if (hone_str_equal(kind, HONE_S("processing"))) return hone_native_process(job);
    if (hone_str_equal(kind, HONE_S("training"))) return hone_native_train(job);
    return hone_err_new(HONE_E_INVALID, "job.json is of no kind that hone knows: '%.*s'",
                        HONE_ARG(kind));
}

static hone_err save(hone_native *job, const char *name, const json_t *value) {
    const char *path = hone_native_path(job, name);
    return path ? hone_json_save(path, value) : no_memory();
}

/* What kind of failure it was, for whoever decides about another try. */
static void note_failure(hone_native *job, hone_err err) {
    static const char *const names[] = {
#define X(name, advice) #name,
        HONE_CODES(X)
#undef X
    };
    json_t *failure = json_pack("{s:s, s:s}", "code", names[err.code], "message", err.msg);
    hone_err saved = failure ? save(job, "failure.json", failure) : no_memory();
    if (hone_failed(saved)) fprintf(stderr, "the failure is not on record: %s\n", saved.msg);
    json_decref(failure);
}

hone_err hone_native_job(const char *folder, hone_model_fn *find_model, void *ctx) {
    hone_native job = {.folder = folder, .find_model = find_model, .ctx = ctx};
    HONE_TRY(hone_arena_create(memory_max, &job.arena));
    const char *failure = hone_native_path(&job, "failure.json");
    const char *result = hone_native_path(&job, "result.json");
    hone_err err = failure && result ? HONE_OK : no_memory();
    if (!hone_failed(err)) (void)unlink(failure); /* an earlier try's; there may be none */
    /* Killed between its end and its being noted: the result stands. */
    bool is_done = !hone_failed(err) && hone_file_exists(result);
    if (!hone_failed(err) && !is_done) {
        err = open_job(&job);
        if (!hone_failed(err)) err = do_work(&job);
        if (!hone_failed(err)) err = save(&job, "result.json", job.result);
        if (hone_failed(err)) err = hone_err_new(err.code, "%s", err.msg); /* outlives the arena */
        if (hone_failed(err)) note_failure(&job, err);
    }
    json_decref(job.spec);
    json_decref(job.files);
    json_decref(job.result);
    hone_arena_destroy(job.arena);
    return err;
}
