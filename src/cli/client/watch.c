/* watch.c: an execution, drawn while it runs.
 *
 *     sentiment  Executing  0:42
 *       Process    done      0:01
 *       Train      [=========>          ]  47 %  loss 0.312  0:21 left  epoch 1 of 2
 *       Register   waiting
 *
 * On a terminal the block is redrawn in place, four times a second; elsewhere a line is written
 * when a step changes its state, and every 10 s while one works. */
#include "base/clock.h"
#include "cli/client/columns.h"
#include "cli/client/executions.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    POLL_MS = 250,
    BAR_WIDTH = 20,
    STEPS_MAX = 64, /* drawn; a longer pipeline shows its first ones */
    STATE_SIZE = 24,
    LINE_SIZE = 256,
    NAME_WIDTH = 26,
    WIDTH_DEFAULT = 80, /* of a terminal that does not say */
    WIDTH_MIN = 40,
};
static const int64_t LOG_EVERY_NS = 10 * INT64_C(1000000000);

typedef struct watch {
    hone_remote *remote;
    const char *arn;
    const json_t *names; /* of all steps, in the definition's order */
    bool is_tty;
    int drawn; /* lines on the terminal that the next drawing replaces */
    int64_t began_ns;
    int64_t logged_ns;
    char states[STEPS_MAX][STATE_SIZE]; /* as last told, for the log */
} watch;

/* ---- what there is to draw ---- */

/* Steps in the order of the definition, as the execution was started with it; an empty list when
 * the server does not say, then steps appear as they start. */
static json_t *step_names(hone_remote *remote, const char *arn) {
    json_t *names = json_array(), *answer = NULL, *step = NULL;
    size_t i = 0;
    json_error_t ignored;
    hone_err err = hone_remote_op(remote, "DescribePipelineDefinitionForExecution",
                                  json_pack("{s:s}", "PipelineExecutionArn", arn), &answer);
    if (hone_failed(err) || !names) return names;
    json_t *definition = json_loads(hone_field(answer, "PipelineDefinition"), 0, &ignored);
    json_array_foreach(json_object_get(definition, "Steps"), i, step) {
        (void)json_array_append(names, json_object_get(step, "Name")); /* one line less */
    }
    json_decref(definition);
    json_decref(answer);
    return names;
}

static const json_t *find_step(const json_t *steps, const char *name) {
    const json_t *step = NULL;
    size_t i = 0;
    json_array_foreach(steps, i, step) {
        if (strcmp(hone_field(step, "StepName"), name) == 0) return step;
    }
    return NULL;
}

static const char *state_word(const char *status) {
    static const char *const words[][2] = {{"Succeeded", "done"},    {"Executing", "working"},
                                           {"Starting", "starting"}, {"Failed", "failed"},
                                           {"Stopping", "stopping"}, {"Stopped", "stopped"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(status, words[i][0]) == 0) return words[i][1];
    return *status ? status : "waiting";
}

static void put(char *line, size_t *len, const char *text) {
    int n = snprintf(line + *len, LINE_SIZE - *len, "%s", text);
    if (n > 0) *len = *len + (size_t)n < LINE_SIZE ? *len + (size_t)n : LINE_SIZE - 1;
}

static void put_bar(char *line, size_t *len, double share) {
    char bar[BAR_WIDTH + 1], text[64];
    int filled = share >= 1.0 ? BAR_WIDTH : share > 0.0 ? (int)(share * BAR_WIDTH) : 0;
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', (size_t)filled);
    if (filled < BAR_WIDTH) bar[filled] = '>';
    bar[BAR_WIDTH] = '\0';
    (void)snprintf(text, sizeof text, "[%s] %3d %%", bar, (int)(100.0 * share));
    put(line, len, text);
}

/* What is known of a step at work: "[===> ] 47 %  loss 0.312  0:21 left  epoch 1 of 2". */
static void put_progress(char *line, size_t *len, const json_t *progress, bool with_bar) {
    char text[64], span[HONE_WHEN_SIZE];
    double share = hone_field_number(progress, "Share", -1.0);
    double loss = hone_field_number(progress, "Loss", -1.0);
    double left_s = hone_field_number(progress, "SecondsLeft", -1.0);
    const char *message = hone_field(progress, "Message");
    if (share >= 0.0 && with_bar) put_bar(line, len, share);
    if (share >= 0.0 && !with_bar) {
        (void)snprintf(text, sizeof text, "%d %%", (int)(100.0 * share));
        put(line, len, text);
    }
    if (loss >= 0.0) {
        (void)snprintf(text, sizeof text, "  loss %.3f", loss);
        put(line, len, text);
    }
    if (left_s >= 0.0) {
        hone_span_format(left_s, span);
        (void)snprintf(text, sizeof text, "  %s left", span);
        put(line, len, text);
    }
    if (*message && *len > 0) put(line, len, "  ");
    put(line, len, message);
}

static double seconds_of(const json_t *step) {
    double start = hone_field_number(step, "StartTime", 0.0);
    double end = hone_field_number(step, "EndTime", (double)hone_now_ms() / 1000.0);
    return start > 0.0 && end > start ? end - start : 0.0;
}

static void describe(const json_t *step, bool with_bar, char line[LINE_SIZE]) {
    const char *status = hone_field(step, "StepStatus");
    const json_t *progress = json_object_get(step, "HoneProgress");
    char span[HONE_WHEN_SIZE];
    size_t len = 0;
    line[0] = '\0';
    if (strcmp(status, "Executing") == 0 && json_object_size(progress) > 0) {
        put_progress(line, &len, progress, with_bar);
    } else {
        put(line, &len, state_word(status));
        if (step && *status && strcmp(status, "Starting") != 0) {
            hone_span_format(seconds_of(step), span);
            put(line, &len, "  ");
            put(line, &len, span);
        }
        const char *why = hone_field(step, "FailureReason");
        if (*why) put(line, &len, "  ");
        put(line, &len, why);
    }
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) *c = '?'; /* a reason may hold anything */
}

/* ---- drawing ---- */

/* How many bytes of a step's line fit: a line that wraps would spoil the way back up. */
static int room(void) {
    struct winsize size = {0};
    int width = WIDTH_DEFAULT;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) width = size.ws_col;
    if (width < WIDTH_MIN) width = WIDTH_MIN;
    return width - NAME_WIDTH - 4; /* the gaps, and the last column */
}

static void draw(watch *w, const json_t *execution, const json_t *steps) {
    char line[LINE_SIZE], span[HONE_WHEN_SIZE];
    const json_t *name = NULL;
    size_t i = 0;
    hone_span_format((double)(hone_clock_ns() - w->began_ns) / 1e9, span);
    if (w->drawn) fprintf(stderr, "\033[%dA", w->drawn);
    fprintf(stderr, "\r%s  %s  %s\033[K\n", hone_execution_id(w->arn),
            hone_field(execution, "PipelineExecutionStatus"), span);
    w->drawn = 1;
    json_array_foreach(w->names, i, name) {
        if (i >= STEPS_MAX) break;
        describe(find_step(steps, json_string_value(name)), true, line);
        fprintf(stderr, "  %-*.*s %.*s\033[K\n", NAME_WIDTH, NAME_WIDTH, json_string_value(name),
                room(), line);
        w->drawn++;
    }
}

static void log_changes(watch *w, const json_t *steps) {
    char line[LINE_SIZE];
    const json_t *name = NULL;
    size_t i = 0;
    int64_t now_ns = hone_clock_ns();
    bool is_time = now_ns - w->logged_ns >= LOG_EVERY_NS;
    json_array_foreach(w->names, i, name) {
        if (i >= STEPS_MAX) break;
        const json_t *step = find_step(steps, json_string_value(name));
        const char *status = hone_field(step, "StepStatus");
        bool has_changed = step && strncmp(w->states[i], status, STATE_SIZE - 1) != 0;
        bool is_working = strcmp(status, "Executing") == 0;
        if (!has_changed && !(is_working && is_time)) continue;
        (void)snprintf(w->states[i], STATE_SIZE, "%s", status);
        describe(step, false, line);
        fprintf(stderr, "%s: %s\n", json_string_value(name), line);
        is_time = true;
        w->logged_ns = now_ns;
    }
}

/* Names that the definition did not tell, as their steps appear. */
static void add_names(json_t *names, const json_t *steps) {
    const json_t *step = NULL, *name = NULL;
    size_t i = 0, j = 0;
    json_array_foreach(steps, i, step) {
        bool known = false;
        json_array_foreach(names, j, name) {
            known |= strcmp(json_string_value(name), hone_field(step, "StepName")) == 0;
        }
        if (!known) (void)json_array_append(names, json_object_get(step, "StepName"));
    }
}

/* ---- watching ---- */

/* The execution as it is now, its steps under "Steps". */
static hone_err look(watch *w, json_t *names, json_t **out) {
    json_t *execution = NULL, *steps = NULL;
    HONE_TRY(hone_remote_op(w->remote, "DescribePipelineExecution",
                            json_pack("{s:s}", "PipelineExecutionArn", w->arn), &execution));
    hone_err err = hone_remote_list(
        w->remote, "ListPipelineExecutionSteps",
        json_pack("{s:s, s:s}", "PipelineExecutionArn", w->arn, "SortOrder", "Ascending"),
        "PipelineExecutionSteps", 0, &steps);
    if (!hone_failed(err)) {
        add_names(names, steps);
        if (json_object_set_new(execution, "Steps", steps) != 0)
            err = hone_err_new(HONE_E_NOMEM, "no memory for steps");
    }
    if (hone_failed(err))
        json_decref(execution);
    else
        *out = execution;
    return err;
}

static bool has_ended(const json_t *execution) {
    const char *status = hone_field(execution, "PipelineExecutionStatus");
    return strcmp(status, "Succeeded") == 0 || strcmp(status, "Failed") == 0 ||
           strcmp(status, "Stopped") == 0;
}

hone_err hone_executions_watch(hone_remote *remote, const char *arn, json_t **out) {
    json_t *names = step_names(remote, arn);
    if (!names) return hone_err_new(HONE_E_NOMEM, "no memory for steps");
    int64_t now_ns = hone_clock_ns();
    watch w = {.remote = remote,
               .arn = arn,
               .names = names,
               .is_tty = isatty(STDERR_FILENO) == 1,
               .began_ns = now_ns,
               .logged_ns = now_ns};
    json_t *execution = NULL;
    hone_err err;
    for (;;) {
        err = look(&w, names, &execution);
        if (hone_failed(err)) break;
        const json_t *steps = json_object_get(execution, "Steps");
        if (w.is_tty)
            draw(&w, execution, steps);
        else
            log_changes(&w, steps);
        if (has_ended(execution)) break;
        json_decref(execution);
        struct timespec pause = {0, POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL); /* an interrupted pause is a shorter one */
    }
    json_decref(names);
    if (!hone_failed(err)) *out = execution;
    return err;
}
