/* work.c: a step's job and its folder.
 *
 *     prepare   objects -> in/<input>/00001.csv, ...  and in/files.json, which says what is what
 *     (the child works: out/, result.json)
 *     collect   the files that result.json names are staged as objects; staged.json says which
 *     end       in one transaction: the objects get their names, the step its end
 *
 * result.json of a child:  {"files": [{"path": "out/train.jsonl", "uri": "s3://..."}], ...}
 * failure.json, when it fails:  {"code": "FULL"}: whether another try makes sense. */
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "pipeline/pipelines_impl.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum {
    ARENA_BYTES = 256 << 20,
    JSON_BYTES_MAX = 64 << 20,
    FILES_MAX = 200000, /* of one input */
    LISTED_AT_ONCE = 1000,
    PATH_SIZE = 4096,
    COPY_BYTES = 1 << 30,
};

static const int64_t retry_max_ms = (int64_t)3600 * 1000;

/* --- prepare ------------------------------------------------------------------------ */

/* One input being brought into the folder. */
typedef struct bringing {
    hone_pipelines *pipelines;
    hone_arena *arena;
    const char *folder, *name;
    hone_str bucket;
    json_t *files; /* of in/files.json */
    size_t count;
} bringing;

/* The suffixes by which an input's files are known, others are passed over. */
static const char *find_suffix(const char *input, hone_str key) {
    static const char *const data[] = {".jsonl",    ".json",    ".ndjson",    ".csv",    ".tsv",
                                       ".jsonl.gz", ".json.gz", ".ndjson.gz", ".csv.gz", ".tsv.gz"};
    if (strcmp(input, "reviews") == 0)
        return hone_str_has_suffix(key, HONE_S(".json")) ? ".json" : NULL;
    if (strcmp(input, "parent") == 0 || strcmp(input, "model") == 0) return ".tar.gz";
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
        if (hone_str_has_suffix(key, hone_str_of(data[i]))) return data[i];
    return NULL;
}

/* A second name for the object's file, which keeps its bytes even if the object is replaced. */
static hone_err link_file(const char *from, const char *to) {
    (void)unlink(to); /* of an earlier try */
    if (link(from, to) == 0) return HONE_OK;
    hone_err err = hone_file_copy(from, to, 0600); /* the objects lie on another disk */
    if (err.code == HONE_E_NOT_FOUND)
        return hone_err_new(HONE_E_CONFLICT, "an input was replaced while it was read");
    return err;
}

static hone_err bring(bringing *b, const hone_object *object) {
    char path[PATH_SIZE], uri[HONE_BUCKET_MAX + HONE_KEY_MAX + 16];
    const char *suffix = find_suffix(b->name, object->key);
    if (!suffix || object->size_bytes == 0) return HONE_OK;
    if (b->count == FILES_MAX)
        return hone_err_new(HONE_E_INVALID, "input '%s' has more than %d files", b->name,
                            FILES_MAX);
    (void)snprintf(path, sizeof path, "in/%s/%06zu%s", b->name, ++b->count, suffix);
    (void)snprintf(uri, sizeof uri, "s3://%.*s/%.*s", HONE_ARG(object->bucket),
                   HONE_ARG(object->key));
    char target[2 * PATH_SIZE];
    (void)snprintf(target, sizeof target, "%s/%s", b->folder, path);
    HONE_TRY(link_file(object->path, target));
    json_t *file = json_pack("{s:s, s:s, s:s, s:I}", "path", path, "uri", uri, "sha256",
                             object->sha256, "bytes", (json_int_t)object->size_bytes);
    return json_array_append_new(b->files, file) == 0 ? HONE_OK : hone_pipeline_no_memory();
}

/* Every object below prefix, page by page: each page is a transaction of its own. */
static hone_err bring_all(bringing *b, hone_str prefix) {
    hone_str after = HONE_S("");
    size_t count = LISTED_AT_ONCE;
    while (count == LISTED_AT_ONCE) {
        hone_tx *tx = NULL;
        hone_object *objects = NULL;
        HONE_TRY(hone_tx_begin(b->pipelines->options.db, HONE_TX_READ, &tx));
        hone_err err = hone_objects_list(b->pipelines->options.objects, tx, b->arena, b->bucket,
                                         prefix, after, LISTED_AT_ONCE, &objects, &count);
        for (size_t i = 0; i < count && !hone_failed(err); i++) err = bring(b, &objects[i]);
        hone_tx_abort(tx);
        HONE_TRY(err);
        if (count > 0) after = objects[count - 1].key;
    }
    return HONE_OK;
}

/* uri is an object, or a folder of them: a prefix that ends at a slash. */
static hone_err bring_uri(bringing *b, hone_str uri) {
    hone_str key;
    hone_object object;
    hone_tx *tx = NULL;
    HONE_TRY(hone_s3_uri_parse(uri, &b->bucket, &key));
    HONE_TRY(hone_tx_begin(b->pipelines->options.db, HONE_TX_READ, &tx));
    hone_err err = key.len == 0 ? hone_err_new(HONE_E_NOT_FOUND, "no object")
                                : hone_objects_find(b->pipelines->options.objects, tx, b->arena,
                                                    b->bucket, key, &object);
    if (!hone_failed(err)) err = bring(b, &object);
    hone_tx_abort(tx);
    if (err.code != HONE_E_NOT_FOUND) return err;
    char *prefix = hone_arena_alloc(b->arena, key.len + 2, 1);
    if (!prefix) return hone_pipeline_no_memory();
    if (!key.ptr) key = HONE_S("");
    memcpy(prefix, key.ptr, key.len);
    if (key.len > 0 && key.ptr[key.len - 1] != '/') prefix[key.len] = '/';
    err = bring_all(b, hone_str_of(prefix));
    return err.code == HONE_E_NOT_FOUND ? HONE_OK : err; /* no such bucket: no files */
}

static hone_err bring_input(hone_pipelines *p, hone_arena *arena, const char *folder,
                            const json_t *input, json_t *all) {
    char path[PATH_SIZE];
    hone_str uri = hone_json_str(json_object_get(input, "uri"));
    bringing b = {.pipelines = p, .arena = arena, .folder = folder};
    b.name = json_string_value(json_object_get(input, "name"));
    b.files = json_array();
    if (json_object_set_new(all, b.name, b.files) != 0) return hone_pipeline_no_memory();
    (void)snprintf(path, sizeof path, "%s/in/%s", folder, b.name);
    HONE_TRY(hone_folder_make(path, 0700));
    HONE_TRY(bring_uri(&b, uri));
    HONE_TRY(hone_folder_sync(path)); /* files.json, which is written last, speaks of them */
    if (b.count == 0 && !json_is_true(json_object_get(input, "optional")))
        return hone_err_new(HONE_E_NOT_FOUND, "input '%s': there is no file at '%.*s'", b.name,
                            HONE_ARG(uri));
    return HONE_OK;
}

static hone_err load(const char *folder, const char *name, json_t **out) {
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return hone_json_load(path, JSON_BYTES_MAX, out);
}

static hone_err save(const char *folder, const char *name, const json_t *value) {
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return hone_json_save(path, value);
}

hone_err hone_work_prepare(void *pipelines, const hone_job_row *job) {
    hone_arena *arena = NULL;
    json_t *spec = NULL, *files = json_object(), *input = NULL;
    size_t i = 0;
    hone_err err = files ? hone_arena_create(ARENA_BYTES, &arena) : hone_pipeline_no_memory();
    if (!hone_failed(err)) err = load(job->folder, "job.json", &spec);
    if (!hone_failed(err)) json_array_foreach(json_object_get(spec, "inputs"), i, input) {
            if (hone_failed(err)) break;
            err = bring_input(pipelines, arena, job->folder, input, files);
        }
    if (!hone_failed(err)) err = save(job->folder, "in/files.json", files);
    if (hone_failed(err)) err = hone_err_new(err.code, "%s", err.msg); /* outlives the arena */
    json_decref(spec);
    json_decref(files);
    hone_arena_destroy(arena);
    return err;
}

/* --- collect ------------------------------------------------------------------------ */

static hone_err stage(hone_pipelines *p, const char *folder, const json_t *file, json_t *all) {
    char path[PATH_SIZE];
    hone_staged staged;
    const char *name = json_string_value(json_object_get(file, "path"));
    const char *uri = json_string_value(json_object_get(file, "uri"));
    if (!name || !uri || strncmp(name, "out/", 4) != 0 || strstr(name, ".."))
        return hone_err_new(HONE_E_CORRUPT, "the child's result names no file of out/");
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    HONE_TRY(hone_objects_stage_file(p->options.objects, path, false, &staged));
    json_t *entry = json_pack("{s:s, s:s, s:s, s:s, s:I}", "uri", uri, "id", staged.id, "etag",
                              staged.etag, "sha256", staged.sha256, "bytes",
                              (json_int_t)staged.size_bytes);
    return json_array_append_new(all, entry) == 0 ? HONE_OK : hone_pipeline_no_memory();
}

hone_err hone_work_collect(void *pipelines, const hone_job_row *job) {
    json_t *result = NULL, *staged = json_object(), *list = json_array(), *file = NULL;
    size_t i = 0;
    hone_err err = load(job->folder, "result.json", &result);
    if (!hone_failed(err) && json_object_set_new(staged, "files", list) != 0)
        err = hone_pipeline_no_memory();
    if (!hone_failed(err)) json_array_foreach(json_object_get(result, "files"), i, file) {
            if (hone_failed(err)) break;
            err = stage(pipelines, job->folder, file, list);
        }
    if (!hone_failed(err)) err = save(job->folder, "staged.json", staged);
    json_decref(result);
    json_decref(staged);
    return err;
}

/* --- end ---------------------------------------------------------------------------- */

/* The end of one step's job. */
typedef struct ending {
    hone_pipelines *pipelines;
    hone_tx *tx;
    hone_arena *arena;
    const hone_job_row *job;
    const char *execution;
    hone_step step;
} ending;

static void copy_text(const json_t *from, const char *key, char *out, size_t size) {
    const char *text = json_string_value(json_object_get(from, key));
    (void)snprintf(out, size, "%s", text ? text : "");
}

static hone_err publish(const ending *e) {
    json_t *staged = NULL, *file = NULL;
    size_t i = 0;
    HONE_TRY(load(e->job->folder, "staged.json", &staged));
    hone_err err = HONE_OK;
    json_array_foreach(json_object_get(staged, "files"), i, file) {
        hone_staged s = {.size_bytes = json_integer_value(json_object_get(file, "bytes"))};
        hone_object_put put = {.staged = &s, .content_type = HONE_S("application/octet-stream")};
        hone_str uri = hone_json_str(json_object_get(file, "uri"));
        copy_text(file, "id", s.id, sizeof s.id);
        copy_text(file, "etag", s.etag, sizeof s.etag);
        copy_text(file, "sha256", s.sha256, sizeof s.sha256);
        if (hone_str_has_suffix(uri, HONE_S(".json")))
            put.content_type = HONE_S("application/json");
        err = hone_s3_uri_parse(uri, &put.bucket, &put.key);
        if (!hone_failed(err)) err = hone_objects_link(e->pipelines->options.objects, e->tx, &put);
        if (hone_failed(err)) break;
    }
    json_decref(staged);
    return err;
}

/* [{"MetricName", "Value", "Timestamp"}] of the figures of result.metrics that are numbers. */
static json_t *metric_list(const json_t *metrics) {
    json_t *list = json_array(), *value = NULL, *from = hone_json_loose(metrics);
    const char *name = NULL;
    json_object_foreach(from, name, value) if (json_is_number(value)) json_array_append_new(
        list, json_pack("{s:s, s:f, s:f}", "MetricName", name, "Value", json_number_value(value),
                        "Timestamp", (double)hone_now_ms() / 1000));
    return list;
}

/* What other steps may Get: the step's arguments, and what became of them. */
static hone_err make_properties(const ending *e, const hone_step_job *row, const json_t *result,
                                const char **out) {
    bool trains = strcmp(row->type, "Training") == 0;
    json_t *p = json_loads(row->arguments, 0, NULL);
    if (!p) return hone_pipeline_no_memory();
    json_object_set_new(p, trains ? "TrainingJobName" : "ProcessingJobName",
                        json_string(row->name));
    json_object_set_new(p, trains ? "TrainingJobArn" : "ProcessingJobArn", json_string(row->arn));
    json_object_set_new(p, trains ? "TrainingJobStatus" : "ProcessingJobStatus",
                        json_string("Completed"));
    json_object_set_new(p, "CreationTime", json_real((double)row->created_ms / 1000));
    if (trains) {
        json_object_set_new(
            p, "ModelArtifacts",
            json_pack("{s:O*}", "S3ModelArtifacts", json_object_get(result, "model_uri")));
        json_object_set_new(p, "FinalMetricDataList",
                            metric_list(json_object_get(result, "metrics")));
    }
    hone_err err = hone_pipeline_dump(e->arena, p, out);
    json_decref(p);
    return err;
}

static hone_err succeed(const ending *e) {
    json_t *result = NULL;
    hone_step_job row;
    const char *properties = NULL, *outcome = NULL;
    HONE_TRY(publish(e));
    HONE_TRY(hone_step_jobs_find(e->pipelines, e->tx, e->arena, e->step.type,
                                 hone_str_of(e->step.job), &row));
    HONE_TRY(load(e->job->folder, "result.json", &result));
    hone_err err = make_properties(e, &row, result, &properties);
    if (!hone_failed(err)) err = hone_pipeline_dump(e->arena, result, &outcome);
    json_decref(result);
    HONE_TRY(err);
    HONE_TRY(hone_step_job_row_end(e->tx, row.name, "Completed", outcome, ""));
    return hone_step_row_end(e->tx, e->execution, e->step.name, "Succeeded", "", properties);
}

static hone_err end_badly(const ending *e, bool stopped) {
    const char *reason = stopped ? "" : e->job->reason;
    HONE_TRY(hone_step_job_row_end(e->tx, e->step.job, stopped ? "Stopped" : "Failed", "", reason));
    return hone_step_row_end(e->tx, e->execution, e->step.name, stopped ? "Stopped" : "Failed",
                             reason, NULL);
}

/* --- retries ------------------------------------------------------------------------ */

/* Does the policy speak of this failure? What a child says of itself decides: a lack of room is
 * CAPACITY_ERROR and RESOURCE_LIMIT, a disk or a crash JOB_INTERNAL_ERROR and SERVICE_FAULT.
 * A wrong input fails again however often it is tried. */
static bool covers(const json_t *policy, const char *code) {
    bool room = strcmp(code, "FULL") == 0 || strcmp(code, "NOMEM") == 0;
    bool fault = strcmp(code, "IO") == 0 || strcmp(code, "") == 0;
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(json_object_get(policy, "ExceptionType"), i, item) {
        hone_str type = hone_json_str(item);
        if (room && (hone_str_equal(type, HONE_S("SageMaker.CAPACITY_ERROR")) ||
                     hone_str_equal(type, HONE_S("SageMaker.RESOURCE_LIMIT"))))
            return true;
        if (fault && (hone_str_equal(type, HONE_S("SageMaker.JOB_INTERNAL_ERROR")) ||
                      hone_str_equal(type, HONE_S("Step.SERVICE_FAULT"))))
            return true;
    }
    return false;
}

static double number_of(const json_t *policy, const char *key, double fallback) {
    const json_t *value = json_object_get(policy, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

/* How long to wait before the next try by this policy; -1 = it allows no more. */
static int64_t delay_of(const json_t *policy, const hone_job_row *job) {
    double attempts = number_of(policy, "MaxAttempts", 0),
           expire = number_of(policy, "ExpireAfterMin", 0);
    double tries = job->attempt > 0 ? (double)job->attempt : 1;
    if (attempts <= 0 && expire <= 0) attempts = 5;
    if (attempts > 0 && tries > attempts) return -1;
    if (expire > 0 && (double)(hone_now_ms() - job->created_ms) >= expire * 60000) return -1;
    double delay = number_of(policy, "IntervalSeconds", 1) * 1000 *
                   pow(number_of(policy, "BackoffRate", 2), tries - 1);
    return delay < (double)retry_max_ms ? (int64_t)delay : retry_max_ms;
}

static hone_err find_policies(const ending *e, const json_t **out) {
    hone_execution execution;
    hone_definition definition;
    HONE_TRY(
        hone_execution_find(e->pipelines, e->tx, e->arena, hone_str_of(e->execution), &execution));
    HONE_TRY(hone_definition_parse(e->arena, hone_str_of(execution.definition), &definition));
    for (size_t i = 0; i < definition.step_count; i++)
        if (strcmp(definition.steps[i].name, e->step.name) == 0) *out = definition.steps[i].retries;
    return HONE_OK;
}

static hone_err maybe_retry(const ending *e, int64_t *retry_ms) {
    const json_t *policies = NULL, *policy = NULL;
    json_t *failure = NULL;
    char code[16] = "";
    size_t i = 0;
    HONE_TRY(find_policies(e, &policies));
    if (!hone_failed(load(e->job->folder, "failure.json", &failure)))
        copy_text(failure, "code", code, sizeof code);
    json_decref(failure);
    for (; i < json_array_size(policies) && *retry_ms < 0; i++) {
        policy = json_array_get(policies, i);
        if (covers(policy, code)) *retry_ms = delay_of(policy, e->job);
    }
    return HONE_OK;
}

hone_err hone_work_end(void *pipelines, hone_tx *tx, const hone_job_row *job, int64_t *retry_ms) {
    ending e = {.pipelines = pipelines, .tx = tx, .job = job};
    HONE_TRY(hone_arena_create(HONE_ENGINE_ARENA_BYTES, &e.arena));
    hone_err err = hone_step_row_of_work(tx, e.arena, job->id, &e.execution, &e.step);
    bool orphan = err.code == HONE_E_NOT_FOUND; /* nobody waits for it any more */
    if (!hone_failed(err)) switch (job->state) {
        case HONE_JOB_DONE:
            err = succeed(&e);
            break;
        case HONE_JOB_FAILED:
            err = maybe_retry(&e, retry_ms);
            if (!hone_failed(err) && *retry_ms < 0) err = end_badly(&e, false);
            break;
        case HONE_JOB_STOPPED:
            err = end_badly(&e, true);
            break;
        case HONE_JOB_QUEUED:
        case HONE_JOB_RUNNING:
            break;
        }
    if (hone_failed(err)) err = hone_err_new(err.code, "%s", err.msg); /* outlives the arena */
    hone_arena_destroy(e.arena);
    return orphan ? HONE_OK : err;
}
