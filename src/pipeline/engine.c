/* engine.c: moves executions on.
 *
 * Each turn looks at every execution that has not ended, and in one write transaction does what can
 * be done:
 *
 *     Stopping:  ask its jobs to stop; when none is left, Stopped
 *     Executing: a step failed -> when no other runs, Failed
 *                else begin the steps whose needs have succeeded; when all have, Succeeded
 *
 * The rows are the truth and a turn depends on nothing else, so a server that was killed goes on
 * by taking a turn. How the jobs of steps end is work.c's. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "pipeline/expression.h"
#include "pipeline/pipelines_impl.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

enum { MESSAGE_SIZE = 512, TRY_AGAIN_S = 1 };

/* An execution being looked at. */
typedef struct view {
    hone_pipelines *pipelines;
    hone_tx *tx;
    hone_arena *arena;
    hone_execution execution;
    hone_definition definition;
    const char **status; /* [step_count], "" = not begun */
    hone_step *steps;    /* [step_count]; zero where not begun */
    size_t running, succeeded, failed, stopped;
} view;

static hone_err load_steps(view *v) {
    size_t count = v->definition.step_count;
    v->steps = hone_arena_alloc(v->arena, count, sizeof *v->steps);
    v->status = hone_arena_alloc(v->arena, count, sizeof *v->status);
    if (!v->steps || !v->status) return hone_pipeline_no_memory();
    for (size_t i = 0; i < count; i++) {
        hone_err err = hone_step_row_find(v->tx, v->arena, v->execution.id,
                                          v->definition.steps[i].name, &v->steps[i]);
        if (hone_failed(err) && err.code != HONE_E_NOT_FOUND) return err;
        v->status[i] = hone_failed(err) ? "" : v->steps[i].status;
        v->running += strcmp(v->status[i], "Executing") == 0;
        v->succeeded += strcmp(v->status[i], "Succeeded") == 0;
        v->failed += strcmp(v->status[i], "Failed") == 0;
        v->stopped += strcmp(v->status[i], "Stopped") == 0;
    }
    return HONE_OK;
}

static hone_err load_view(view *v, const char *id) {
    HONE_TRY(hone_execution_find(v->pipelines, v->tx, v->arena, hone_str_of(id), &v->execution));
    HONE_TRY(hone_definition_parse(v->arena, hone_str_of(v->execution.definition), &v->definition));
    return load_steps(v);
}

/* --- beginning a step --------------------------------------------------------------- */

static bool is_ready(const view *v, size_t index) {
    const hone_step_def *def = &v->definition.steps[index];
    if (v->status[index][0] != '\0') return false;
    for (size_t i = 0; i < def->needs_count; i++)
        if (strcmp(v->status[def->needs[i]], "Succeeded") != 0) return false;
    return true;
}

static json_t *members_of(const hone_execution *e) {
    char start[HONE_TIME_SIZE], now[HONE_TIME_SIZE];
    hone_time_format(e->created_ms, start);
    hone_time_format(hone_now_ms(), now);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "PipelineName", e->pipeline, "PipelineArn",
                     e->pipeline_arn, "PipelineExecutionId", e->id, "PipelineExecutionArn", e->arn,
                     "StartDateTime", start, "CurrentDateTime", now);
}

/* Name -> properties of the steps that have succeeded. NULL when memory runs out. */
static json_t *properties_of(const view *v) {
    json_t *all = json_object();
    for (size_t i = 0; all && i < v->definition.step_count; i++) {
        if (strcmp(v->status[i], "Succeeded") != 0) continue;
        json_t *one = json_loads(v->steps[i].properties, 0, NULL);
        if (one) json_object_set_new(all, v->definition.steps[i].name, one);
    }
    return all;
}

static hone_err resolve_arguments(const view *v, const hone_step_def *def, json_t **out) {
    json_t *parameters = json_loads(v->execution.parameters, 0, NULL);
    json_t *execution = members_of(&v->execution), *steps = properties_of(v);
    hone_scope scope = {parameters, execution, steps};
    hone_err err = parameters && execution && steps
                       ? hone_expressions_resolve(def->arguments, &scope, out)
                       : hone_pipeline_no_memory();
    json_decref(parameters);
    json_decref(execution);
    json_decref(steps);
    return err;
}

static hone_err begin(const view *v, size_t index) {
    const hone_step_def *def = &v->definition.steps[index];
    hone_step_run run = {v->pipelines, v->tx, v->arena, &v->execution, def, NULL};
    hone_err err = resolve_arguments(v, def, &run.arguments);
    if (hone_failed(err)) return err;
    switch (def->type) {
    case HONE_STEP_PROCESSING:
        err = hone_step_begin_processing(&run);
        break;
    case HONE_STEP_TRAINING:
        err = hone_step_begin_training(&run);
        break;
    case HONE_STEP_REGISTER:
        err = hone_step_begin_register(&run);
        break;
    }
    json_decref(run.arguments);
    return err;
}

/* Will the same call fail again? Then the step has failed; else the turn is taken again later. */
static bool is_final(hone_err err) {
    return err.code == HONE_E_INVALID || err.code == HONE_E_NOT_FOUND ||
           err.code == HONE_E_CORRUPT || err.code == HONE_E_CONFLICT;
}

/* --- a turn for one execution ------------------------------------------------------- */

static hone_err finish(const view *v) {
    char failure[MESSAGE_SIZE] = "";
    if (strcmp(v->execution.status, "Stopping") == 0)
        return hone_execution_row_end(v->tx, &v->execution, "Stopped", "");
    if (v->failed + v->stopped == 0)
        return hone_execution_row_end(v->tx, &v->execution, "Succeeded", "");
    for (size_t i = 0; i < v->definition.step_count && !failure[0]; i++)
        if (strcmp(v->status[i], "Failed") == 0 || strcmp(v->status[i], "Stopped") == 0)
            (void)snprintf(failure, sizeof failure, "Step '%.80s': %.400s",
                           v->definition.steps[i].name,
                           v->steps[i].failure[0] ? v->steps[i].failure : "it was stopped");
    return hone_execution_row_end(v->tx, &v->execution, "Failed", failure);
}

static hone_err stop_jobs(const view *v) {
    for (size_t i = 0; i < v->definition.step_count; i++)
        if (strcmp(v->status[i], "Executing") == 0 && v->steps[i].work[0])
            HONE_TRY(hone_jobs_stop(v->pipelines->jobs, v->tx, v->steps[i].work));
    return HONE_OK;
}

/* What the transaction did: *changed: there may be more to do; *broken: the step whose beginning
 * failed for good, with err. */
typedef struct outcome {
    bool changed;
    bool broken;
    size_t index; /* of the broken step */
} outcome;

static hone_err begin_steps(view *v, outcome *o) {
    size_t limit = v->execution.parallelism > 0 ? (size_t)v->execution.parallelism : SIZE_MAX;
    for (size_t i = 0; i < v->definition.step_count && v->running < limit; i++) {
        if (!is_ready(v, i)) continue;
        o->changed = true;
        hone_err err = begin(v, i);
        if (hone_failed(err)) {
            o->broken = is_final(err);
            o->index = i;
            return err;
        }
        v->running++;
    }
    return HONE_OK;
}

static bool is_stopping(const view *v) { return strcmp(v->execution.status, "Stopping") == 0; }

/* Will no more steps begin? */
static bool is_over(const view *v) {
    return v->succeeded == v->definition.step_count || v->failed + v->stopped > 0 || is_stopping(v);
}

/* Is there anything to do? Asked without the right to write, so that every commit of anybody may
 * wake the engine and stay cheap. */
static bool has_work(const view *v, bool may_begin) {
    size_t limit = v->execution.parallelism > 0 ? (size_t)v->execution.parallelism : SIZE_MAX;
    if (is_over(v)) return v->running == 0 || is_stopping(v);
    for (size_t i = 0; may_begin && v->running < limit && i < v->definition.step_count; i++)
        if (is_ready(v, i)) return true;
    return false;
}

static hone_err move_on(view *v, bool may_begin, outcome *o) {
    if (is_over(v) && v->running == 0) return finish(v);
    if (is_stopping(v)) return stop_jobs(v);
    if (is_over(v) || !may_begin) return HONE_OK;
    return begin_steps(v, o);
}

/* Write down that a step could not begin. */
static hone_err fail_step(hone_pipelines *p, hone_arena *arena, const char *id, size_t index,
                          const char *message) {
    view v = {.pipelines = p, .arena = arena};
    HONE_TRY(hone_tx_begin(p->options.db, HONE_TX_WRITE, &v.tx));
    hone_err err = load_view(&v, id);
    const char *name = hone_failed(err) ? "" : v.definition.steps[index].name;
    if (!hone_failed(err)) err = hone_step_row_begin(v.tx, id, &v.definition.steps[index], "", "");
    if (!hone_failed(err)) err = hone_step_row_end(v.tx, id, name, "Failed", message, NULL);
    return hone_tx_finish(v.tx, err);
}

static hone_err advance_once(hone_pipelines *p, hone_arena *arena, const char *id, bool may_begin,
                             outcome *o) {
    view v = {.pipelines = p, .arena = arena}, again = v;
    char message[MESSAGE_SIZE];
    *o = (outcome){.changed = false};
    HONE_TRY(hone_tx_begin(p->options.db, HONE_TX_READ, &v.tx));
    hone_err err = load_view(&v, id);
    hone_tx_abort(v.tx);
    if (hone_failed(err) || !has_work(&v, may_begin)) return err;

    v = again;
    HONE_TRY(hone_tx_begin(p->options.db, HONE_TX_WRITE, &v.tx));
    err = load_view(&v, id); /* it may have changed in between */
    if (!hone_failed(err)) err = move_on(&v, may_begin, o);
    err = hone_tx_finish(v.tx, err);
    if (!o->broken) return err;
    (void)snprintf(message, sizeof message, "%s", err.msg);
    return fail_step(p, arena, id, o->index, message);
}

static hone_err advance(hone_pipelines *p, const char *id, bool may_begin) {
    hone_arena *arena = NULL;
    HONE_TRY(hone_arena_create(HONE_ENGINE_ARENA_BYTES, &arena));
    outcome o = {.changed = true};
    hone_err err = HONE_OK;
    while (o.changed && !hone_failed(err)) {
        hone_arena_reset(arena);
        err = advance_once(p, arena, id, may_begin, &o);
    }
    if (hone_failed(err)) err = hone_err_new(err.code, "%s", err.msg); /* outlives the arena */
    hone_arena_destroy(arena);
    return err;
}

/* --- all of them -------------------------------------------------------------------- */

static hone_err turn(hone_pipelines *p, hone_arena *arena, bool *again) {
    hone_tx *tx = NULL;
    const char **ids = NULL;
    size_t count = 0, limit = p->options.executions_max ? p->options.executions_max : 4;
    HONE_TRY(hone_tx_begin(p->options.db, HONE_TX_READ, &tx));
    hone_err err = hone_execution_rows_active(tx, arena, &ids, &count);
    hone_tx_abort(tx);
    for (size_t i = 0; i < count && !hone_failed(err); i++) {
        hone_err one = advance(p, ids[i], i < limit);
        if (!hone_failed(one)) continue;
        hone_log("event=execution.refused execution=%s error=%s", ids[i], one.msg);
        *again = true;
    }
    return err;
}

/* One look at every execution. *again: something was refused that may go through later. */
static void take_turn(hone_pipelines *p, bool *again) {
    hone_arena *arena = NULL;
    *again = false;
    hone_err err = hone_arena_create(HONE_ENGINE_ARENA_BYTES, &arena);
    if (!hone_failed(err)) err = turn(p, arena, again);
    if (hone_failed(err)) {
        hone_log("event=pipelines.refused error=%s", err.msg);
        *again = true;
    }
    hone_arena_destroy(arena);
}

/* Wait for a wake-up; after a refusal for a second at most. False at the end. */
static bool wait_for_news(hone_pipelines *p, bool again) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += TRY_AGAIN_S;
    (void)pthread_mutex_lock(&p->lock);
    while (!p->woken && !p->stopping) {
        if (!again)
            (void)pthread_cond_wait(&p->cond, &p->lock);
        else if (pthread_cond_timedwait(&p->cond, &p->lock, &until) == ETIMEDOUT)
            break;
    }
    p->woken = false;
    bool goes_on = !p->stopping;
    (void)pthread_mutex_unlock(&p->lock);
    return goes_on;
}

void *hone_engine_work(void *pipelines) {
    hone_pipelines *p = pipelines;
    bool again = false;
    do take_turn(p, &again);
    while (wait_for_news(p, again));
    return NULL;
}
