/* pipelines.c: opening and closing of the room; progress and logs of steps. */
#include "pipeline/pipelines.h"

#include "base/file.h"
#include "base/json.h"
#include "pipeline/pipelines_impl.h"
#include "pipeline/shipped_impl.h"
#include "store/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void wake(void *arg) {
    hone_pipelines *p = arg;
    (void)pthread_mutex_lock(&p->lock);
    p->woken = true;
    (void)pthread_cond_signal(&p->cond);
    (void)pthread_mutex_unlock(&p->lock);
}

/* --- the first start ---------------------------------------------------------------- */

static hone_err add_bucket(hone_pipelines *p, hone_tx *tx) {
    int64_t created_ms = 0;
    hone_err err = hone_objects_bucket_find(tx, HONE_S("hone-data"), &created_ms);
    if (err.code != HONE_E_NOT_FOUND) return err;
    return hone_objects_bucket_create(p->options.objects, tx, HONE_S("hone-data"));
}

static hone_err add_shipped(hone_pipelines *p, hone_tx *tx, hone_arena *arena) {
    hone_pipeline made;
    hone_pipeline_change fields = {
        .description = HONE_S("process, train and register, as pipelines/sentiment.json has it"),
        .definition = {hone_shipped_sentiment, hone_shipped_sentiment_size}};
    HONE_TRY(add_bucket(p, tx));
    HONE_TRY(hone_pipelines_add(p, tx, arena, "system", HONE_S("sentiment"), (hone_str){NULL, 0},
                                &fields, &made));
    return hone_tx_exec(tx, "INSERT INTO pipeline_shipped (name) VALUES ('sentiment')", "");
}

/* Once: a pipeline that somebody deleted does not come back. */
static hone_err ship(hone_pipelines *p) {
    hone_tx *tx = NULL;
    hone_arena *arena = NULL;
    int64_t shipped = 0;
    HONE_TRY(hone_arena_create(HONE_ENGINE_ARENA_BYTES, &arena));
    hone_err err = hone_tx_begin(p->options.db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) {
        err = hone_tx_int(tx, &shipped, "SELECT count(*) FROM pipeline_shipped", "");
        if (!hone_failed(err) && shipped == 0) err = add_shipped(p, tx, arena);
        err = hone_tx_finish(tx, err);
    }
    hone_arena_destroy(arena);
    return err;
}

/* --- opening ------------------------------------------------------------------------ */

static hone_err open_jobs(hone_pipelines *p) {
    hone_jobs_options options = {.dir = p->options.dir,
                                 .db = p->options.db,
                                 .program = p->options.program,
                                 .running_max = p->options.jobs_max,
                                 .on_end = hone_work_end,
                                 .prepare = hone_work_prepare,
                                 .collect = hone_work_collect,
                                 .ctx = p};
    return hone_jobs_open(&options, &p->jobs);
}

hone_err hone_pipelines_open(const hone_pipelines_options *options, hone_pipelines **out) {
    hone_pipelines *p = calloc(1, sizeof *p);
    if (!p) return hone_pipeline_no_memory();
    p->options = *options;
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr); /* none of these three can fail on Linux */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&p->cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&p->lock, NULL);
    hone_err err = hone_pipeline_rows_migrate(options->db);
    if (!hone_failed(err)) err = ship(p);
    if (!hone_failed(err)) err = open_jobs(p);
    if (hone_failed(err)) {
        hone_pipelines_close(p);
        return err;
    }
    *out = p;
    return HONE_OK;
}

hone_err hone_pipelines_start(hone_pipelines *pipelines) {
    assert(!pipelines->is_started);
    HONE_TRY(hone_jobs_start(pipelines->jobs));
    HONE_TRY(hone_journal_watch(pipelines->options.db, wake, pipelines));
    if (pthread_create(&pipelines->thread, NULL, hone_engine_work, pipelines) != 0) {
        hone_journal_unwatch(pipelines->options.db, wake, pipelines);
        return hone_err_new(HONE_E_NOMEM, "no thread for pipelines");
    }
    pipelines->is_started = true;
    return HONE_OK;
}

void hone_pipelines_close(hone_pipelines *p) {
    if (!p) return;
    if (p->is_started) {
        hone_journal_unwatch(p->options.db, wake, p);
        (void)pthread_mutex_lock(&p->lock);
        p->stopping = true;
        (void)pthread_cond_signal(&p->cond);
        (void)pthread_mutex_unlock(&p->lock);
        (void)pthread_join(p->thread, NULL);
    }
    hone_jobs_close(p->jobs);
    (void)pthread_cond_destroy(&p->cond);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

/* --- looking at a step's job -------------------------------------------------------- */

hone_err hone_step_progress(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                            const hone_step *step, json_t **out) {
    hone_job_row job;
    *out = NULL;
    if (!step->work[0]) return HONE_OK;
    hone_err err = hone_jobs_find(pipelines->jobs, tx, arena, hone_str_of(step->work), &job);
    if (err.code == HONE_E_NOT_FOUND) return HONE_OK;
    HONE_TRY(err);
    return hone_jobs_progress(arena, &job, out);
}

/* The whole lines among the file's last limit bytes. */
static hone_err read_tail(hone_arena *arena, const char *path, size_t limit, hone_str *out) {
    *out = (hone_str){"", 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return HONE_OK; /* it has said nothing yet */
    char *text = hone_arena_alloc(arena, limit + 1, 1);
    off_t size = lseek(fd, 0, SEEK_END), from = size > (off_t)limit ? size - (off_t)limit : 0;
    ssize_t got = text ? pread(fd, text, limit, from) : 0;
    (void)close(fd); /* read-only, nothing to lose */
    if (!text) return hone_pipeline_no_memory();
    if (got <= 0) return HONE_OK;
    *out = (hone_str){text, (size_t)got};
    const char *first = from > 0 ? memchr(text, '\n', out->len) : NULL;
    if (first) *out = (hone_str){first + 1, out->len - (size_t)(first + 1 - text)};
    return HONE_OK;
}

hone_err hone_step_log(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena, const char *work,
                       size_t limit, hone_str *out) {
    hone_job_row job;
    *out = (hone_str){"", 0};
    hone_err err = hone_jobs_find(pipelines->jobs, tx, arena, hone_str_of(work), &job);
    if (err.code == HONE_E_NOT_FOUND) return HONE_OK;
    HONE_TRY(err);
    const char *path = hone_path_join(arena, job.folder, "log.txt");
    if (!path) return hone_pipeline_no_memory();
    return read_tail(arena, path, limit, out);
}
