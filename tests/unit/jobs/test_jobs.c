/* test_jobs.c: every way a job can end, and that none is lost or run twice.
 *
 * The child is a shell script instead of hone; what it does is the job's owner, which prepare
 * writes into the folder. The test waits for ends on a condition. */
#include "check.h"
#include "fault.h"

#include "base/clock.h"
#include "base/file.h"
#include "jobs/child.h"
#include "jobs/folder.h"
#include "jobs/jobs.h"
#include "store/journal.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { ENDS_MAX = 16, WAIT_S = 60 };

typedef struct end {
    char id[32], reason[600];
    hone_job_state state;
    int64_t attempt;
} end;

/* What on_end was told, and how it is to answer. */
typedef struct told {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    end ends[ENDS_MAX];
    size_t count;
    int64_t retry_ms;     /* for the first failure; -1 = none */
    hone_job_state fails; /* on_end fails for this state, once; QUEUED = never */
} told;

static char dir[64], program[128];
static hone_db *db;
static hone_jobs *jobs;
static hone_arena *arena;
static told t;

static hone_err on_end(void *ctx, hone_tx *tx, const hone_job_row *job, int64_t *retry_ms) {
    (void)ctx;
    (void)tx;
    hone_err err = HONE_OK;
    (void)pthread_mutex_lock(&t.lock);
    assert_true(t.count < ENDS_MAX);
    end *e = &t.ends[t.count++];
    (void)snprintf(e->id, sizeof e->id, "%s", job->id);
    (void)snprintf(e->reason, sizeof e->reason, "%s", job->reason);
    e->state = job->state;
    e->attempt = job->attempt;
    if (job->state == HONE_JOB_FAILED) {
        *retry_ms = t.retry_ms;
        t.retry_ms = -1;
    }
    if (t.fails == job->state) {
        t.fails = HONE_JOB_QUEUED;
        err = hone_err_new(HONE_E_CORRUPT, "the result is no good");
    }
    (void)pthread_cond_broadcast(&t.changed);
    (void)pthread_mutex_unlock(&t.lock);
    return err;
}

static hone_err prepare(void *ctx, const hone_job_row *job) {
    (void)ctx;
    char path[512];
    (void)snprintf(path, sizeof path, "%s/in/script", job->folder);
    if (strcmp(job->owner, "unpreparable") == 0)
        return hone_err_new(HONE_E_NOT_FOUND, "no object 's3://b/k'");
    return hone_file_save(path, hone_str_of(job->owner));
}

static void open_jobs(size_t running_max) {
    hone_jobs_options options = {.dir = dir,
                                 .db = db,
                                 .program = program,
                                 .running_max = running_max,
                                 .stop_grace_ms = 50,
                                 .on_end = on_end,
                                 .prepare = prepare};
    CHECK_OK(hone_jobs_open(&options, &jobs));
}

static int set_up(void **state) {
    (void)state;
    t = (told){.retry_ms = -1, .fails = HONE_JOB_QUEUED};
    (void)pthread_mutex_init(&t.lock, NULL);
    (void)pthread_cond_init(&t.changed, NULL);
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    (void)snprintf(program, sizeof program, "%s/child", dir);
    CHECK_OK(hone_file_save(program, HONE_S("#!/bin/sh\nF=$2\ncd \"$F\"\n. \"$F/in/script\"\n")));
    assert_int_equal(chmod(program, 0700), 0);
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    open_jobs(1);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_now_fix_ms(0);
    hone_jobs_close(jobs);
    jobs = NULL;
    hone_arena_destroy(arena);
    hone_db_close(db);
    check_rmtree(dir);
    return 0;
}

static const char *add(const char *script) {
    hone_tx *tx = NULL;
    const char *id = NULL;
    json_t *spec = json_pack("{s:s}", "kind", "test");
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_jobs_add(jobs, tx, arena, "test", script, spec, &id));
    CHECK_OK(hone_tx_commit(tx));
    json_decref(spec);
    return id;
}

static void stop(const char *id) {
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_jobs_stop(jobs, tx, id));
    CHECK_OK(hone_tx_commit(tx));
}

static hone_job_row find(const char *id) {
    hone_tx *tx = NULL;
    hone_job_row row;
    CHECK_OK(hone_tx_begin(db, HONE_TX_READ, &tx));
    CHECK_OK(hone_jobs_find(jobs, tx, arena, hone_str_of(id), &row));
    hone_tx_abort(tx);
    return row;
}

/* Wait until on_end has been told count times; the last of them. */
static end wait_for_end(size_t count) {
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    (void)pthread_mutex_lock(&t.lock);
    while (t.count < count)
        if (pthread_cond_timedwait(&t.changed, &t.lock, &until) != 0)
            fail_msg("%zu ends in %d s, expected %zu", t.count, WAIT_S, count);
    end e = t.ends[count - 1];
    (void)pthread_mutex_unlock(&t.lock);
    return e;
}

/* The row gets its new state after on_end: a commit later. Wait by journal. */
static void wait_for_kind(const char *kind, const char *id) {
    char subject[64];
    (void)snprintf(subject, sizeof subject, "job/%s", id);
    for (int64_t n = 0, began = hone_clock_ns(); n == 0;) {
        hone_tx *tx = NULL;
        CHECK_OK(hone_tx_begin(db, HONE_TX_READ, &tx));
        CHECK_OK(hone_tx_int(tx, &n, "SELECT count(*) FROM journal WHERE kind = ? AND subject = ?",
                             "zz", kind, subject));
        hone_tx_abort(tx);
        if (hone_clock_ns() - began > (int64_t)WAIT_S * 1000000000)
            fail_msg("no %s in %d s", kind, WAIT_S);
        (void)sched_yield();
    }
}

static const char done_script[] = "echo working; echo '{}' > result.json";

static void test_job__ends_with_its_result(void **state) {
    (void)state;
    CHECK_OK(hone_jobs_start(jobs));
    const char *id = add(done_script);
    end e = wait_for_end(1);
    wait_for_kind("job.done", id);
    assert_string_equal(e.id, id);
    assert_int_equal(e.state, HONE_JOB_DONE);
    hone_job_row row = find(id);
    assert_int_equal(row.state, HONE_JOB_DONE);
    assert_int_equal(row.attempt, 1);
    assert_true(row.started_ms > 0 && row.ended_ms >= row.started_ms);
    assert_true(hone_job_folder_has_result(row.folder));
}

static void test_job__that_fails_says_why(void **state) {
    (void)state;
    CHECK_OK(hone_jobs_start(jobs));
    const char *id = add("echo fine; echo 'hone job: it hurts' >&2; exit 3");
    end e = wait_for_end(1);
    wait_for_kind("job.failed", id);
    assert_int_equal(e.state, HONE_JOB_FAILED);
    assert_string_equal(e.reason, "it hurts (exit status 3)");
    assert_string_equal(find(id).reason, e.reason);
}

static void test_job__without_a_result_has_failed(void **state) {
    (void)state;
    CHECK_OK(hone_jobs_start(jobs));
    (void)add("exit 0");
    assert_string_equal(wait_for_end(1).reason, "the child ended without a result");
}

static void test_job__without_its_inputs_fails_before_it_starts(void **state) {
    (void)state;
    CHECK_OK(hone_jobs_start(jobs));
    (void)add("unpreparable");
    end e = wait_for_end(1);
    assert_string_equal(e.reason, "no object 's3://b/k'");
    assert_int_equal(e.attempt, 0);
}

static void test_job__that_crashes_gets_two_more_tries(void **state) {
    (void)state;
    CHECK_OK(hone_jobs_start(jobs));
    (void)add("kill -9 $$");
    end e = wait_for_end(1);
    assert_int_equal(e.state, HONE_JOB_FAILED);
    assert_int_equal(e.attempt, 3);
    assert_string_equal(e.reason, "killed by signal 9 (Killed)");
}

static void test_job__finds_its_folder_as_the_crash_left_it(void **state) {
    (void)state;
    CHECK_OK(hone_jobs_start(jobs));
    (void)add("[ -f out/half ] && echo '{}' > result.json && exit 0; echo > out/half; kill -9 $$");
    end e = wait_for_end(1);
    assert_int_equal(e.state, HONE_JOB_DONE);
    assert_int_equal(e.attempt, 2);
}

static void test_job__is_tried_again_when_its_time_has_come(void **state) {
    (void)state;
    t.retry_ms = 5000;
    hone_now_fix_ms(1000000);
    CHECK_OK(hone_jobs_start(jobs));
    const char *id = add("exit 1");
    (void)wait_for_end(1);
    wait_for_kind("job.requeued", id);
    hone_job_row row = find(id);
    assert_int_equal(row.state, HONE_JOB_QUEUED);
    assert_int_equal(row.not_before_ms, 1005000);
    json_t *progress = NULL;
    CHECK_OK(hone_jobs_progress(arena, &row, &progress));
    assert_string_equal(json_string_value(json_object_get(progress, "Message")),
                        "tries again in 5 s: exit status 1");
    json_decref(progress);
    /* Another job is not kept waiting by it, and its end shows that the time has been looked at. */
    const char *other = add(done_script);
    assert_string_equal(wait_for_end(2).id, other);
    hone_now_fix_ms(1005000);
    (void)add(done_script); /* wakes the thread */
    assert_int_equal(wait_for_end(4).state, HONE_JOB_DONE);
    wait_for_kind("job.failed", id);
    assert_int_equal(find(id).attempt, 2);
}

static void test_job__whose_result_is_refused_has_failed(void **state) {
    (void)state;
    t.fails = HONE_JOB_DONE;
    CHECK_OK(hone_jobs_start(jobs));
    const char *id = add(done_script);
    end e = wait_for_end(2);
    assert_int_equal(e.state, HONE_JOB_FAILED);
    assert_string_equal(e.reason, "the result is no good");
    wait_for_kind("job.failed", id);
}

static void test_stop__of_a_queued_job_ends_it(void **state) {
    (void)state;
    const char *id = add(done_script);
    stop(id);
    CHECK_OK(hone_jobs_start(jobs));
    end e = wait_for_end(1);
    assert_int_equal(e.state, HONE_JOB_STOPPED);
    assert_int_equal(e.attempt, 0);
    wait_for_kind("job.stopped", id);
    stop(id); /* nothing more to stop */
    assert_int_equal(find(id).state, HONE_JOB_STOPPED);
}

/* A pipe without a writer's end closed keeps the script waiting for nothing but a signal. */
static const char patient[] = "mkfifo gate; echo up > up; read x < gate";
static const char stubborn[] = "trap '' TERM; mkfifo gate; while :; do read x < gate; done";

static void test_stop__of_a_running_job_ends_it(void **state) {
    (void)state;
    CHECK_OK(hone_jobs_start(jobs));
    const char *id = add(patient);
    wait_for_kind("job.started", id);
    stop(id);
    end e = wait_for_end(1);
    assert_int_equal(e.state, HONE_JOB_STOPPED);
    assert_string_equal(e.reason, "stopped");
}

static void test_stop__kills_a_job_that_does_not_listen(void **state) {
    (void)state;
    CHECK_OK(hone_jobs_start(jobs));
    const char *id = add(stubborn);
    wait_for_kind("job.started", id);
    stop(id);
    assert_int_equal(wait_for_end(1).state, HONE_JOB_STOPPED);
}

static void test_jobs__run_side_by_side_up_to_the_limit(void **state) {
    (void)state;
    hone_jobs_close(jobs);
    open_jobs(2);
    /* Each waits for the other: alone neither would end. */
    char script[256];
    (void)snprintf(script, sizeof script,
                   "mkfifo '%s/meet' 2>/dev/null; echo hello > '%s/meet'; echo '{}' > result.json",
                   dir, dir);
    const char *a = add(script);
    (void)snprintf(script, sizeof script,
                   "mkfifo '%s/meet' 2>/dev/null; read x < '%s/meet'; echo '{}' > result.json", dir,
                   dir);
    const char *b = add(script);
    CHECK_OK(hone_jobs_start(jobs));
    assert_int_equal(wait_for_end(2).state, HONE_JOB_DONE);
    wait_for_kind("job.done", a);
    wait_for_kind("job.done", b);
}

/* --- the server dies ---------------------------------------------------------------- */

/* Another process opens the same folder, starts the job, and is killed with -9. */
static void start_and_die(const char *up) {
    hone_jobs_close(jobs);
    hone_db_close(db);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_OK(hone_db_open(dir, &db));
        open_jobs(1);
        CHECK_OK(hone_jobs_start(jobs));
        for (;;) (void)pause();
    }
    for (int64_t began = hone_clock_ns(); !hone_file_exists(up); (void)sched_yield())
        if (hone_clock_ns() - began > (int64_t)WAIT_S * 1000000000) fail_msg("no child came up");
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    CHECK_OK(hone_db_open(dir, &db));
    open_jobs(1);
}

static void test_job__goes_on_after_the_server_was_killed(void **state) {
    (void)state;
    const char *id = add("[ -f up ] && echo '{}' > result.json && exit 0\n"
                         "mkfifo gate; echo $$ > pid; mv pid up; read x < gate");
    char up[256];
    (void)snprintf(up, sizeof up, "%s/jobs/%s/up", dir, id);
    start_and_die(up);
    hone_str text;
    CHECK_OK(hone_file_load(arena, up, 64, &text));
    pid_t child = (pid_t)strtol(text.ptr, NULL, 10);
    assert_int_equal(find(id).state, HONE_JOB_QUEUED);
    CHECK_OK(hone_jobs_start(jobs));
    end e = wait_for_end(1);
    assert_int_equal(e.state, HONE_JOB_DONE);
    assert_int_equal(e.attempt, 2);
    /* The first child died with its server; as an orphan it may be a zombie of init for a moment. */
    for (int64_t began = hone_clock_ns(); kill(child, 0) == 0; (void)sched_yield()) {
        char stat[64], line[256] = "";
        (void)snprintf(stat, sizeof stat, "/proc/%ld/stat", (long)child);
        FILE *file = fopen(stat, "r");
        if (!file) break;
        (void)!fread(line, 1, sizeof line - 1, file);
        (void)fclose(file);
        if (strstr(line, ") Z") || strstr(line, ") X")) break;
        if (hone_clock_ns() - began > (int64_t)WAIT_S * 1000000000)
            fail_msg("process %ld lives on: %s", (long)child, line);
    }
}

static void test_folder__without_a_row_is_swept(void **state) {
    (void)state;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/jobs/0123456789abcdef01234567", dir);
    json_t *spec = json_object();
    CHECK_OK(hone_job_folder_make(path, spec));
    json_decref(spec);
    const char *id = add(done_script);
    hone_jobs_close(jobs);
    open_jobs(1);
    assert_false(hone_file_exists(path));
    assert_true(hone_file_exists(find(id).folder));
}

static void test_folder__has_room_for_one_child(void **state) {
    (void)state;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/jobs", dir);
    int ready[2], go[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid_t first = fork();
    if (first == 0) {
        char c = hone_failed(hone_child_enter(path)) ? 'n' : 'y';
        (void)!write(ready[1], &c, 1);
        (void)!read(go[0], &c, 1);
        _exit(0);
    }
    char c = 0;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    CHECK_FAILS(hone_child_enter(path), HONE_E_CONFLICT, "another process works");
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(first, NULL, 0), first);
    pid_t second = fork(); /* the lock goes with its process */
    if (second == 0) _exit(hone_failed(hone_child_enter(path)) ? 1 : 0);
    int status = -1;
    assert_int_equal(waitpid(second, &status, 0), second);
    assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++) {
        (void)close(ready[i]);
        (void)close(go[i]);
    }
}

static void test_progress__is_the_last_whole_line(void **state) {
    (void)state;
    hone_job_row row = find(add(done_script));
    json_t *progress = NULL;
    CHECK_OK(hone_jobs_progress(arena, &row, &progress));
    assert_null(progress);
    char path[512];
    (void)snprintf(path, sizeof path, "%s/progress.jsonl", row.folder);
    CHECK_OK(hone_file_save(path, HONE_S("{\"share\": 0.25}\n{\"share\": 0.5}\n{\"sha")));
    CHECK_OK(hone_jobs_progress(arena, &row, &progress));
    assert_true(json_number_value(json_object_get(progress, "share")) == 0.5);
    json_decref(progress);
}

/* --- faults ------------------------------------------------------------------------- */

static int64_t count_rows(void) {
    hone_tx *tx = NULL;
    int64_t n = -1;
    CHECK_OK(hone_tx_begin(db, HONE_TX_READ, &tx));
    CHECK_OK(hone_tx_int(tx, &n, "SELECT count(*) FROM job", ""));
    hone_tx_abort(tx);
    return n;
}

static hone_err add_one(void *ctx) {
    hone_tx *tx = NULL;
    const char *id = NULL;
    HONE_TRY(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    return hone_tx_finish(tx, hone_jobs_add(jobs, tx, arena, "test", "x", ctx, &id));
}

static void test_add__leaves_nothing_behind_when_it_fails(void **state) {
    (void)state;
    json_t *spec = json_pack("{s:s}", "kind", "test");
    assert_true(fault_sweep(add_one, spec) > 3);
    json_decref(spec);
    assert_int_equal(count_rows(), 1);
}

static hone_err open_again(void *ctx) {
    hone_jobs *opened = NULL;
    hone_err err = hone_jobs_open(ctx, &opened);
    hone_jobs_close(opened);
    return err;
}

static void test_open__leaks_nothing_when_it_fails(void **state) {
    (void)state;
    hone_jobs_options options = {.dir = dir, .db = db, .on_end = on_end};
    assert_true(fault_sweep(open_again, &options) > 3);
}

#define JOB_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        JOB_TEST(test_job__ends_with_its_result),
        JOB_TEST(test_job__that_fails_says_why),
        JOB_TEST(test_job__without_a_result_has_failed),
        JOB_TEST(test_job__without_its_inputs_fails_before_it_starts),
        JOB_TEST(test_job__that_crashes_gets_two_more_tries),
        JOB_TEST(test_job__finds_its_folder_as_the_crash_left_it),
        JOB_TEST(test_job__is_tried_again_when_its_time_has_come),
        JOB_TEST(test_job__whose_result_is_refused_has_failed),
        JOB_TEST(test_stop__of_a_queued_job_ends_it),
        JOB_TEST(test_stop__of_a_running_job_ends_it),
        JOB_TEST(test_stop__kills_a_job_that_does_not_listen),
        JOB_TEST(test_jobs__run_side_by_side_up_to_the_limit),
        JOB_TEST(test_job__goes_on_after_the_server_was_killed),
        JOB_TEST(test_folder__without_a_row_is_swept),
        JOB_TEST(test_folder__has_room_for_one_child),
        JOB_TEST(test_progress__is_the_last_whole_line),
        JOB_TEST(test_add__leaves_nothing_behind_when_it_fails),
        JOB_TEST(test_open__leaks_nothing_when_it_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
