/* steps.c: how each type of step begins: a job for Processing and Training, at once for
 * RegisterModel.
 *
 * What a job is told (job.json):
 *
 *     {"kind", "name", "step", "settings": Environment | HyperParameters,
 *      "inputs":  [{"name", "uri", "optional"}],      brought to in/<name>/ by work.c
 *      "outputs": [{"name", "uri"}],                  what the child makes, and where it goes
 *      "parent":  {"arn", "uri", "labels"},           the version whose label ids are kept
 *      "start":   "base" | "parent"}                  of a training
 */
#include "base/id.h"
#include "base/json.h"
#include "pipeline/expression.h"
#include "pipeline/native.h"
#include "pipeline/pipelines_impl.h"

#include <stdio.h>

enum { STEP_IN_NAME_MAX = 24, URI_BYTES_MAX = 4096 };

static hone_err invalid(const hone_step_run *run, const char *what) {
    return hone_err_new(HONE_E_INVALID, "step '%s': %s", run->def->name, what);
}

/* --- jobs --------------------------------------------------------------------------- */

/* "pipelines-<execution>-<step>-<random>", as the service names them. */
static void make_name(const hone_step_run *run, char out[HONE_JOB_NAME_SIZE]) {
    char step[STEP_IN_NAME_MAX + 1], random[HONE_ID_SIZE];
    size_t len = 0;
    for (const char *c = run->def->name; *c && len < STEP_IN_NAME_MAX; c++) {
        step[len] = *c;
        if (*c == '_') step[len] = '-';
        len++;
    }
    while (len > 0 && step[len - 1] == '-') len--;
    step[len] = '\0';
    hone_id_make(random);
    (void)snprintf(out, HONE_JOB_NAME_SIZE, "pipelines-%s-%s-%.10s", run->execution->id, step,
                   random);
}

static hone_err queue(const hone_step_run *run, const json_t *spec) {
    bool trains = run->def->type == HONE_STEP_TRAINING;
    const char *work = NULL, *name = json_string_value(json_object_get(spec, "name"));
    hone_step_job job = {.name = name,
                         .type = hone_step_type_name(run->def->type),
                         .execution = run->execution->id,
                         .execution_arn = run->execution->arn,
                         .step = run->def->name};
    job.arn = hone_arn_format(run->arena, run->pipelines->options.realm, "%s/%s",
                              trains ? "training-job" : "processing-job", name);
    if (!job.arn) return hone_pipeline_no_memory();
    HONE_TRY(hone_pipeline_dump(run->arena, run->arguments, &job.arguments));
    HONE_TRY(hone_jobs_add(run->pipelines->jobs, run->tx, run->arena,
                           trains ? "training" : "processing", run->execution->id, spec, &work));
    job.work = work;
    HONE_TRY(hone_step_job_row_add(run->tx, &job));
    return hone_step_row_begin(run->tx, run->execution->id, run->def, name, work);
}

/* Queue a job of kind with spec (taken over, also on failure), and write its rows. */
static hone_err queue_spec(const hone_step_run *run, json_t *spec) {
    char name[HONE_JOB_NAME_SIZE];
    make_name(run, name);
    hone_err err = HONE_OK;
    if (!spec || json_object_set_new(spec, "name", json_string(name)) != 0 ||
        json_object_set_new(spec, "step", json_string(run->def->name)) != 0)
        err = hone_pipeline_no_memory();
    if (!hone_failed(err)) err = queue(run, spec);
    json_decref(spec);
    return err;
}

/* The address of element `item`, at part.S3Uri. */
static hone_err read_uri(const hone_step_run *run, const json_t *item, const char *part,
                         const char **out) {
    hone_str bucket, key;
    const json_t *inner = json_object_get(item, part);
    if (strcmp(part, "DataSource") == 0) inner = json_object_get(inner, "S3DataSource");
    const json_t *uri = json_object_get(inner, "S3Uri");
    hone_err err = json_is_string(uri) ? hone_s3_uri_parse(hone_json_str(uri), &bucket, &key)
                                       : hone_err_new(HONE_E_INVALID, "an S3Uri is no string");
    if (hone_failed(err)) return hone_err_wrap(err, "step '%s'", run->def->name);
    *out = json_string_value(uri);
    return HONE_OK;
}

/* [{"name", "uri", "optional"}] of the elements of list. */
static hone_err list_uris(const hone_step_run *run, const json_t *list, const char *name_key,
                          const char *part, const char *optional, json_t *out) {
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(list, i, item) {
        const char *uri = NULL, *name = json_string_value(json_object_get(item, name_key));
        HONE_TRY(read_uri(run, item, part, &uri));
        bool may_lack = optional && strcmp(name, optional) == 0;
        if (json_array_append_new(out, json_pack("{s:s, s:s, s:b}", "name", name, "uri", uri,
                                                 "optional", may_lack)) != 0)
            return hone_pipeline_no_memory();
    }
    return HONE_OK;
}

/* --- Processing --------------------------------------------------------------------- */

hone_err hone_step_begin_processing(const hone_step_run *run) {
    const json_t *a = run->arguments, *settings = json_object_get(a, "Environment");
    hone_processing checked;
    HONE_TRY(hone_processing_read(run->arena, settings, run->def->name, &checked));
    json_t *inputs = json_array(), *outputs = json_array();
    hone_err err = inputs && outputs ? HONE_OK : hone_pipeline_no_memory();
    if (!hone_failed(err))
        err = list_uris(run, json_object_get(a, "ProcessingInputs"), "InputName", "S3Input",
                        "reviews", inputs);
    if (!hone_failed(err))
        err = list_uris(run,
                        json_object_get(json_object_get(a, "ProcessingOutputConfig"), "Outputs"),
                        "OutputName", "S3Output", NULL, outputs);
    if (hone_failed(err)) {
        json_decref(inputs);
        json_decref(outputs);
        return err;
    }
    return queue_spec(run, json_pack("{s:s, s:o, s:o, s:O*}", "kind", "processing", "inputs",
                                     inputs, "outputs", outputs, "settings", settings));
}

/* --- Training ----------------------------------------------------------------------- */

/* The version whose labels are kept: the one named, else the group's newest approved. */
static hone_err find_parent(const hone_step_run *run, const hone_training *t, bool *found,
                            hone_version *out) {
    *found = false;
    if (hone_str_has_prefix(hone_str_of(t->start_from), HONE_S("arn:"))) {
        *found = true;
        return hone_registry_find(run->tx, run->arena, hone_str_of(t->start_from), out);
    }
    if (!t->group[0]) {
        if (strcmp(t->start_from, "approved") != 0) return HONE_OK;
        return invalid(run, "start_from is 'approved': name the model_package_group");
    }
    hone_str group = hone_str_of(t->group), bare;
    if (hone_arn_name(group, "model-package-group", true, &bare)) group = bare;
    const char *name = hone_arena_strdup(run->arena, group);
    if (!name) return hone_pipeline_no_memory();
    hone_err err = hone_registry_newest_approved(run->tx, run->arena, name, out);
    if (err.code == HONE_E_NOT_FOUND) return HONE_OK; /* the first one has no parent */
    *found = !hone_failed(err);
    return err;
}

/* {"arn", "uri", "labels"}: labels as its lineage has them; without, the child looks inside. */
static hone_err describe_parent(const hone_version *parent, json_t **out) {
    json_t *lineage = json_loads(parent->lineage, 0, NULL);
    json_t *object = json_pack("{s:s, s:s}", "arn", parent->arn, "uri", parent->artifact_uri);
    json_t *labels = json_object_get(lineage, "labels");
    if (object && json_is_array(labels)) json_object_set(object, "labels", labels);
    json_decref(lineage);
    if (!object) return hone_pipeline_no_memory();
    *out = object;
    return HONE_OK;
}

static json_t *input(const char *name, const char *uri) {
    return json_pack("{s:s, s:s, s:b}", "name", name, "uri", uri, "optional", 0);
}

/* What to begin with, and whose labels to keep: members of spec, and inputs. */
static hone_err add_model(const hone_step_run *run, json_t *spec, json_t *inputs) {
    hone_training t;
    hone_version version;
    bool found = false;
    json_t *parent = NULL;
    HONE_TRY(hone_training_read(run->arena, json_object_get(run->arguments, "HyperParameters"),
                                run->def->name, &t));
    HONE_TRY(find_parent(run, &t, &found, &version));
    if (found) {
        HONE_TRY(describe_parent(&version, &parent));
        if (json_object_set_new(spec, "parent", parent) != 0) return hone_pipeline_no_memory();
    }
    bool from_parent = found && strcmp(t.start_from, "base") != 0;
    if (from_parent || (found && !json_object_get(parent, "labels")))
        if (json_array_append_new(inputs, input("parent", version.artifact_uri)) != 0)
            return hone_pipeline_no_memory();
    if (!from_parent && !t.model_name[0])
        return invalid(run, "model_name is empty: name the model to start from");
    if (!from_parent && strncmp(t.model_name, "s3://", 5) == 0 &&
        json_array_append_new(inputs, input("model", t.model_name)) != 0)
        return hone_pipeline_no_memory();
    if (json_object_set_new(spec, "start", json_string(from_parent ? "parent" : "base")) != 0)
        return hone_pipeline_no_memory();
    return HONE_OK;
}

static hone_err fill_training(const hone_step_run *run, json_t *spec) {
    const json_t *a = run->arguments;
    hone_str bucket, key;
    json_t *inputs = json_object_get(spec, "inputs");
    const json_t *path = json_object_get(json_object_get(a, "OutputDataConfig"), "S3OutputPath");
    HONE_TRY(list_uris(run, json_object_get(a, "InputDataConfig"), "ChannelName", "DataSource",
                       NULL, inputs));
    hone_err err = hone_s3_uri_parse(hone_json_str(path), &bucket, &key);
    if (hone_failed(err)) return hone_err_wrap(err, "step '%s': OutputDataConfig", run->def->name);
    if (json_object_set_new(spec, "output", json_copy(hone_json_loose(path))) != 0)
        return hone_pipeline_no_memory();
    return add_model(run, spec, inputs);
}

hone_err hone_step_begin_training(const hone_step_run *run) {
    json_t *spec = json_pack("{s:s, s:[], s:O*}", "kind", "training", "inputs", "settings",
                             json_object_get(run->arguments, "HyperParameters"));
    hone_err err = spec ? fill_training(run, spec) : hone_pipeline_no_memory();
    if (hone_failed(err)) {
        json_decref(spec);
        return err;
    }
    return queue_spec(run, spec);
}
