/* jobs.c: the thread that starts children, waits for them and tells of their ends.
 *
 * One turn of work():
 *
 *     tell those to be stopped -> note who has ended -> commit ends -> start what waits -> poll
 *
 * It polls the children's descriptors and wake_fd, which every commit with a journal entry makes
 * readable. Rows are the truth: each turn looks at them afresh, so that nothing depends on having
 * seen a wake-up. */
#include "jobs/jobs.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "jobs/folder.h"
#include "jobs/jobs_impl.h"
#include "store/journal.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    ARENA_BYTES_MAX = 16 << 20,
    STOP_GRACE_MS = 10000,
    CRASH_MAX = 2,
    TRY_AGAIN_MS = 1000, /* after the database or the disk refused */
    POLL_MAX_MS = 60000,
    NS_PER_MS = 1000000,
    RUNNING_LIMIT = 64,
};

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for jobs"); }

static void wake(void *arg) {
    hone_jobs *jobs = arg;
    uint64_t one = 1;
    (void)!write(jobs->wake_fd, &one, sizeof one); /* full means that it is readable already */
}

/* --- the ends of jobs --------------------------------------------------------------- */

static bool is_free(const hone_job_slot *slot) { return slot->id[0] == '\0'; }

/* a, and unless it is empty b in brackets. */
static void set_reason(hone_jobs *jobs, hone_job_row *job, const char *a, const char *b) {
    hone_buf text;
    hone_buf_init(&text, 4 * REASON_SIZE);
    hone_buf_push(&text, hone_str_of(a));
    if (*b) hone_buf_printf(&text, " (%s)", b);
    const char *kept = hone_arena_strdup(jobs->arena, hone_buf_str(&text));
    job->reason = kept ? kept : "";
    hone_buf_done(&text);
}

/* What a child that has ended means for its job. */
static void judge(hone_jobs *jobs, const hone_job_slot *slot, bool is_stopped, hone_job_row *job) {
    char last_words[REASON_SIZE];
    bool has_result = hone_job_folder_has_result(job->folder);
    job->state = HONE_JOB_FAILED;
    if (!slot->is_crash && slot->status == 0 && has_result) {
        job->state = HONE_JOB_DONE;
        job->reason = "";
    } else if (is_stopped) {
        job->state = HONE_JOB_STOPPED;
        job->reason = "stopped";
    } else if (!slot->is_crash && slot->status == 0) {
        job->reason = "the child ended without a result";
    } else {
        hone_job_folder_last_words(job->folder, last_words, sizeof last_words);
        /* A signal leaves no words of its own: the log's last line may be about anything. */
        if (slot->is_crash || !last_words[0])
            set_reason(jobs, job, slot->words, "");
        else
            set_reason(jobs, job, last_words, slot->words);
    }
}

/* Ask on_end, and write down what follows from its answer, in one transaction. */
static hone_err settle(hone_jobs *jobs, hone_job_row *job, bool *has_ended) {
    hone_tx *tx = NULL;
    int64_t retry_ms = -1;
    HONE_TRY(hone_tx_begin(jobs->options.db, HONE_TX_WRITE, &tx));
    job->ended_ms = hone_now_ms();
    hone_err err = jobs->options.on_end(jobs->options.ctx, tx, job, &retry_ms);
    *has_ended = job->state != HONE_JOB_FAILED || retry_ms < 0;
    if (!hone_failed(err))
        err = *has_ended ? hone_job_rows_end(tx, job)
                         : hone_job_rows_queue_again(tx, job, retry_ms, false);
    return hone_tx_finish(tx, err);
}

static hone_err end_job(hone_jobs *jobs, hone_job_row *job) {
    bool has_ended = false;
    hone_err err = HONE_OK;
    if (job->state == HONE_JOB_DONE && jobs->options.collect)
        err = jobs->options.collect(jobs->options.ctx, job);
    if (!hone_failed(err)) err = settle(jobs, job, &has_ended);
    if (hone_failed(err) && err.code != HONE_E_FULL && job->state == HONE_JOB_DONE) {
        /* Its results are no good to their owner: that is a failure of the job. */
        job->state = HONE_JOB_FAILED;
        set_reason(jobs, job, err.msg, "");
        err = settle(jobs, job, &has_ended);
    }
    if (hone_failed(err)) return err;
    hone_log("event=job.%s job=%s kind=%s attempt=%lld reason=%s",
             job->state == HONE_JOB_DONE      ? "done"
             : job->state == HONE_JOB_STOPPED ? "stopped"
                                              : "failed",
             job->id, job->kind, (long long)job->attempt, job->reason);
    if (has_ended) hone_job_folder_trim(job->folder);
    return HONE_OK;
}

/* A signal that nobody asked for may have been an accident: the same folder gets another try. */
static hone_err restart_after_crash(hone_jobs *jobs, const hone_job_row *job) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(jobs->options.db, HONE_TX_WRITE, &tx));
    return hone_tx_finish(tx, hone_job_rows_queue_again(tx, job, 0, true));
}

typedef struct standing {
    hone_job_row job;
    bool is_stopped;
    int64_t crashes;
} standing;

static hone_err look_up(hone_jobs *jobs, const char *id, standing *out) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(jobs->options.db, HONE_TX_READ, &tx));
    hone_err err = hone_job_rows_find(jobs, tx, jobs->arena, hone_str_of(id), &out->job);
    if (!hone_failed(err)) err = hone_job_rows_is_stopped(tx, id, &out->is_stopped);
    if (!hone_failed(err)) err = hone_job_rows_crashes(tx, id, &out->crashes);
    hone_tx_abort(tx);
    return err;
}

static hone_err finish_slot(hone_jobs *jobs, const hone_job_slot *slot) {
    standing s;
    hone_arena_reset(jobs->arena);
    HONE_TRY(look_up(jobs, slot->id, &s));
    judge(jobs, slot, s.is_stopped, &s.job);
    bool again = slot->is_crash && s.job.state == HONE_JOB_FAILED &&
                 s.crashes < (int64_t)jobs->options.crash_max;
    return again ? restart_after_crash(jobs, &s.job) : end_job(jobs, &s.job);
}

static void finish_slots(hone_jobs *jobs) {
    int64_t now_ns = hone_clock_ns();
    for (size_t i = 0; i < jobs->options.running_max; i++) {
        hone_job_slot *slot = &jobs->slots[i];
        if (is_free(slot) || slot->child.pidfd >= 0 || slot->again_ns > now_ns) continue;
        hone_err err = finish_slot(jobs, slot);
        if (hone_failed(err)) {
            hone_log("event=job.end_refused job=%s error=%s", slot->id, err.msg);
            slot->again_ns = now_ns + (int64_t)TRY_AGAIN_MS * NS_PER_MS;
        } else {
            slot->id[0] = '\0';
        }
    }
}

/* --- stops -------------------------------------------------------------------------- */

static void tell_stopped(hone_jobs *jobs) {
    for (size_t i = 0; i < jobs->options.running_max; i++) {
        hone_job_slot *slot = &jobs->slots[i];
        if (is_free(slot) || slot->child.pidfd < 0) continue;
        standing s = {0};
        hone_arena_reset(jobs->arena);
        if (!slot->was_told && !hone_failed(look_up(jobs, slot->id, &s)) && s.is_stopped) {
            slot->was_told = true;
            slot->kill_ns = hone_clock_ns() + jobs->options.stop_grace_ms * NS_PER_MS;
            hone_child_signal(&slot->child, SIGTERM);
        }
        if (slot->was_told && hone_clock_ns() >= slot->kill_ns)
            hone_child_signal(&slot->child, SIGKILL);
    }
}

/* Queued jobs that somebody stopped end without ever running. */
static hone_err end_stopped(hone_jobs *jobs) {
    for (;;) {
        hone_tx *tx = NULL;
        hone_job_row job;
        hone_arena_reset(jobs->arena);
        HONE_TRY(hone_tx_begin(jobs->options.db, HONE_TX_READ, &tx));
        hone_err err = hone_job_rows_next(jobs, tx, jobs->arena, true, &job);
        hone_tx_abort(tx);
        if (err.code == HONE_E_NOT_FOUND) return HONE_OK;
        HONE_TRY(err);
        job.state = HONE_JOB_STOPPED;
        job.reason = "stopped";
        HONE_TRY(end_job(jobs, &job));
    }
}

/* --- starts ------------------------------------------------------------------------- */

static hone_err prepare(hone_jobs *jobs, const hone_job_row *job) {
    hone_tx *tx = NULL;
    bool is_prepared = false;
    HONE_TRY(hone_tx_begin(jobs->options.db, HONE_TX_READ, &tx));
    hone_err err = hone_job_rows_is_prepared(tx, job->id, &is_prepared);
    hone_tx_abort(tx);
    if (hone_failed(err) || is_prepared) return err;
    if (jobs->options.prepare) HONE_TRY(jobs->options.prepare(jobs->options.ctx, job));
    HONE_TRY(hone_tx_begin(jobs->options.db, HONE_TX_WRITE, &tx));
    return hone_tx_finish(tx, hone_job_rows_set_prepared(tx, job->id));
}

static hone_err run(hone_jobs *jobs, hone_job_row *job, hone_job_slot *slot) {
    hone_tx *tx = NULL;
    job->attempt++;
    if (job->started_ms == 0) job->started_ms = hone_now_ms();
    HONE_TRY(hone_tx_begin(jobs->options.db, HONE_TX_WRITE, &tx));
    HONE_TRY(hone_tx_finish(tx, hone_job_rows_set_running(tx, job)));
    HONE_TRY(hone_child_start(jobs->program, job->folder, &slot->child));
    (void)snprintf(slot->id, sizeof slot->id, "%s", job->id);
    slot->was_told = false;
    slot->again_ns = 0;
    hone_log("event=job.started job=%s kind=%s attempt=%lld pid=%ld", job->id, job->kind,
             (long long)job->attempt, (long)slot->child.pid);
    return HONE_OK;
}

/* Start the oldest job that may start. *found = false: none waits. */
static hone_err start_one(hone_jobs *jobs, hone_job_slot *slot, bool *found) {
    hone_tx *tx = NULL;
    hone_job_row job;
    hone_arena_reset(jobs->arena);
    *found = false;
    HONE_TRY(hone_tx_begin(jobs->options.db, HONE_TX_READ, &tx));
    hone_err err = hone_job_rows_next(jobs, tx, jobs->arena, false, &job);
    hone_tx_abort(tx);
    if (err.code == HONE_E_NOT_FOUND) return HONE_OK;
    HONE_TRY(err);
    *found = true;
    err = prepare(jobs, &job);
    if (!hone_failed(err)) err = run(jobs, &job, slot);
    if (!hone_failed(err) || err.code == HONE_E_FULL) return err;
    job.state = HONE_JOB_FAILED;
    set_reason(jobs, &job, err.msg, "");
    return end_job(jobs, &job);
}

static hone_err start_jobs(hone_jobs *jobs) {
    for (size_t i = 0; i < jobs->options.running_max; i++) {
        bool found = true;
        while (is_free(&jobs->slots[i]) && found)
            HONE_TRY(start_one(jobs, &jobs->slots[i], &found));
    }
    return HONE_OK;
}

/* --- the thread --------------------------------------------------------------------- */

/* How long nothing will happen that no descriptor tells. */
static int64_t quiet_ms(hone_jobs *jobs, bool refused) {
    int64_t left = refused ? TRY_AGAIN_MS : POLL_MAX_MS, now_ns = hone_clock_ns(), next_ms = 0;
    for (size_t i = 0; i < jobs->options.running_max; i++) {
        const hone_job_slot *slot = &jobs->slots[i];
        int64_t at_ns = slot->child.pidfd < 0 ? slot->again_ns : slot->kill_ns;
        if (is_free(slot) || (slot->child.pidfd >= 0 && !slot->was_told)) continue;
        int64_t wait = at_ns > now_ns ? (at_ns - now_ns) / NS_PER_MS + 1 : 0;
        if (wait == 0 && slot->child.pidfd >= 0) wait = TRY_AGAIN_MS; /* SIGKILL is on its way */
        left = wait < left ? wait : left;
    }
    hone_tx *tx = NULL;
    if (hone_failed(hone_tx_begin(jobs->options.db, HONE_TX_READ, &tx))) return TRY_AGAIN_MS;
    hone_err err = hone_job_rows_next_ms(tx, &next_ms);
    hone_tx_abort(tx);
    if (hone_failed(err)) return TRY_AGAIN_MS;
    int64_t wait = next_ms == INT64_MAX ? left : next_ms - hone_now_ms();
    return wait < left ? (wait > 0 ? wait : 0) : left;
}

/* Wait until a child ends, a commit wakes us, or the time is up; note who has ended. */
static void wait_for_news(hone_jobs *jobs, int64_t timeout_ms) {
    struct pollfd fds[RUNNING_LIMIT + 1];
    size_t owners[RUNNING_LIMIT + 1], count = 0;
    fds[count++] = (struct pollfd){.fd = jobs->wake_fd, .events = POLLIN};
    for (size_t i = 0; i < jobs->options.running_max; i++) {
        const hone_job_slot *slot = &jobs->slots[i];
        if (is_free(slot) || slot->child.pidfd < 0) continue;
        owners[count] = i;
        fds[count++] = (struct pollfd){.fd = slot->child.pidfd, .events = POLLIN};
    }
    if (poll(fds, count, (int)timeout_ms) <= 0) return;
    uint64_t drained = 0;
    if (fds[0].revents) (void)!read(jobs->wake_fd, &drained, sizeof drained);
    for (size_t i = 1; i < count; i++) {
        hone_job_slot *slot = &jobs->slots[owners[i]];
        if (fds[i].revents)
            hone_child_wait(&slot->child, slot->words, sizeof slot->words, &slot->is_crash,
                            &slot->status);
    }
}

static void kill_all(hone_jobs *jobs) {
    for (size_t i = 0; i < jobs->options.running_max; i++) {
        hone_job_slot *slot = &jobs->slots[i];
        if (is_free(slot) || slot->child.pidfd < 0) continue;
        hone_child_signal(&slot->child, SIGKILL);
        hone_child_wait(&slot->child, slot->words, sizeof slot->words, &slot->is_crash,
                        &slot->status);
    }
}

static void *work(void *arg) {
    hone_jobs *jobs = arg;
    while (!atomic_load(&jobs->stopping)) {
        tell_stopped(jobs);
        finish_slots(jobs);
        hone_err err = end_stopped(jobs);
        if (!hone_failed(err)) err = start_jobs(jobs);
        if (hone_failed(err)) hone_log("event=jobs.refused error=%s", err.msg);
        wait_for_news(jobs, quiet_ms(jobs, hone_failed(err)));
    }
    kill_all(jobs);
    return NULL;
}

/* --- opening ------------------------------------------------------------------------ */

/* Folders of jobs whose add was never committed. */
static hone_err sweep(hone_jobs *jobs, hone_tx *tx) {
    DIR *dir = opendir(jobs->dir);
    if (!dir) return hone_file_err("open", jobs->dir);
    hone_err err = HONE_OK;
    for (struct dirent *e; !hone_failed(err) && (e = readdir(dir));) {
        if (strlen(e->d_name) != JOB_ID_SIZE - 1) continue;
        int64_t id = 0;
        err = hone_tx_int(tx, &id, "SELECT 1 FROM job WHERE id = ?", "z", e->d_name);
        if (err.code != HONE_E_NOT_FOUND) continue;
        hone_arena_reset(jobs->arena);
        const char *folder = hone_path_join(jobs->arena, jobs->dir, e->d_name);
        err = folder ? HONE_OK : no_memory();
        if (folder) hone_job_folder_remove(folder);
    }
    (void)closedir(dir); /* read-only, nothing to lose */
    return err;
}

static hone_err recover(hone_jobs *jobs) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_job_rows_migrate(jobs->options.db));
    HONE_TRY(hone_tx_begin(jobs->options.db, HONE_TX_WRITE, &tx));
    hone_err err = hone_job_rows_recover(tx);
    if (!hone_failed(err)) err = sweep(jobs, tx);
    return hone_tx_finish(tx, err);
}

static hone_err set_up(hone_jobs *jobs, const hone_jobs_options *options) {
    hone_jobs_options *o = &jobs->options;
    *o = *options;
    if (o->running_max == 0) o->running_max = 1;
    if (o->running_max > RUNNING_LIMIT) o->running_max = RUNNING_LIMIT;
    if (o->stop_grace_ms == 0) o->stop_grace_ms = STOP_GRACE_MS;
    if (o->crash_max == 0) o->crash_max = CRASH_MAX;
    jobs->program = strdup(o->program ? o->program : "/proc/self/exe");
    jobs->slots = calloc(o->running_max, sizeof *jobs->slots);
    if (asprintf(&jobs->dir, "%s/jobs", o->dir) < 0) jobs->dir = NULL;
    if (!jobs->program || !jobs->slots || !jobs->dir) return no_memory();
    for (size_t i = 0; i < o->running_max; i++) jobs->slots[i].child.pidfd = -1;
    HONE_TRY(hone_arena_create(ARENA_BYTES_MAX, &jobs->arena));
    jobs->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (jobs->wake_fd < 0) return hone_err_new(HONE_E_IO, "eventfd: %s", strerror(errno));
    HONE_TRY(hone_folder_make(jobs->dir, 0700));
    return recover(jobs);
}

hone_err hone_jobs_open(const hone_jobs_options *options, hone_jobs **out) {
    assert(options->on_end);
    hone_jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs) return no_memory();
    jobs->wake_fd = -1;
    hone_err err = set_up(jobs, options);
    if (hone_failed(err)) {
        hone_jobs_close(jobs);
        return err;
    }
    *out = jobs;
    return HONE_OK;
}

hone_err hone_jobs_start(hone_jobs *jobs) {
    assert(!jobs->is_started);
    HONE_TRY(hone_journal_watch(jobs->options.db, wake, jobs));
    if (pthread_create(&jobs->thread, NULL, work, jobs) != 0) {
        hone_journal_unwatch(jobs->options.db, wake, jobs);
        return hone_err_new(HONE_E_NOMEM, "no thread for jobs");
    }
    jobs->is_started = true;
    return HONE_OK;
}

void hone_jobs_close(hone_jobs *jobs) {
    if (!jobs) return;
    if (jobs->is_started) {
        hone_journal_unwatch(jobs->options.db, wake, jobs);
        atomic_store(&jobs->stopping, true);
        wake(jobs);
        (void)pthread_join(jobs->thread, NULL); /* fails for no thread alone */
    }
    if (jobs->wake_fd >= 0) (void)close(jobs->wake_fd); /* nothing was written to a disk */
    hone_arena_destroy(jobs->arena);
    free(jobs->slots);
    free(jobs->program);
    free(jobs->dir);
    free(jobs);
}

/* --- what others ask for ------------------------------------------------------------ */

hone_err hone_jobs_add(hone_jobs *jobs, hone_tx *tx, hone_arena *arena, const char *kind,
                       const char *owner, const json_t *spec, const char **id) {
    char name[HONE_ID_SIZE];
    hone_id_make(name);
    hone_job_row job = {
        .id = hone_arena_strdup(arena, hone_str_of(name)),
        .kind = kind,
        .owner = owner,
        .folder = hone_path_join(arena, jobs->dir, name),
        .reason = "",
        .created_ms = hone_now_ms(),
    };
    if (!job.id || !job.folder) return no_memory();
    hone_err err = hone_job_folder_make(job.folder, spec);
    if (!hone_failed(err)) err = hone_job_rows_add(tx, &job);
    if (hone_failed(err)) {
        hone_job_folder_remove(job.folder);
        return err;
    }
    *id = job.id;
    return HONE_OK;
}

hone_err hone_jobs_stop(hone_jobs *jobs, hone_tx *tx, const char *id) {
    (void)jobs;
    char subject[64];
    (void)snprintf(subject, sizeof subject, "job/%s", id);
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE job SET is_stopped = 1"
                          " WHERE id = ? AND is_stopped = 0 AND state IN (?, ?)",
                          "zii", id, (int64_t)HONE_JOB_QUEUED, (int64_t)HONE_JOB_RUNNING));
    if (hone_tx_changes(tx) == 0) return HONE_OK;
    return hone_journal_append(tx, "system", "job.stopping", subject, NULL);
}

hone_err hone_jobs_find(hone_jobs *jobs, hone_tx *tx, hone_arena *arena, hone_str id,
                        hone_job_row *out) {
    return hone_job_rows_find(jobs, tx, arena, id, out);
}

hone_err hone_jobs_progress(hone_arena *arena, const hone_job_row *job, json_t **out) {
    hone_str line;
    *out = NULL;
    if (job->state == HONE_JOB_QUEUED && job->attempt > 0 && job->reason[0]) {
        int64_t left_ms = job->not_before_ms - hone_now_ms();
        *out = json_pack("{s:o}", "Message",
                         json_sprintf("tries again in %lld s: %s",
                                      left_ms > 0 ? (long long)left_ms / 1000 : 0, job->reason));
        return *out ? HONE_OK : no_memory();
    }
    HONE_TRY(hone_job_folder_last_line(arena, job->folder, "progress.jsonl", &line));
    if (line.len == 0) return HONE_OK;
    return hone_json_parse(line, "progress.jsonl", out);
}
