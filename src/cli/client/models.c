/* models.c: `hone models`: what was trained, how good it is, and whether it may be deployed. */
#include "cli/client/columns.h"
#include "cli/client/verbs.h"
#include "cli/client/versions.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

/* ---- list ---- */

/* The versions of one group to the end of all. */
static hone_err add_versions(const hone_verb_call *call, const char *group, const char *status,
                             json_t *all) {
    json_t *versions = NULL;
    HONE_TRY(hone_versions_list(call->remote, group, status, &versions));
    int failed = json_array_extend(all, versions);
    json_decref(versions);
    return failed ? hone_err_new(HONE_E_NOMEM, "no memory for a list") : HONE_OK;
}

static hone_err collect(const hone_verb_call *call, const char *status, json_t *all) {
    if (call->word_count > 0) return add_versions(call, call->words[0], status, all);
    json_t *groups = NULL, *group = NULL;
    size_t i = 0;
    hone_err err = hone_remote_list(call->remote, "ListModelPackageGroups", json_object(),
                                    "ModelPackageGroupSummaryList", 0, &groups);
    if (hone_failed(err)) return err;
    json_array_foreach(groups, i, group) {
        if (!hone_failed(err))
            err = add_versions(call, hone_field(group, "ModelPackageGroupName"), status, all);
    }
    json_decref(groups);
    return err;
}

/* The accuracy of a version as it was registered, in per cent; "" when nobody measured it. */
static void accuracy_of(hone_remote *remote, const json_t *version, char out[16]) {
    json_t *whole = NULL;
    out[0] = '\0';
    hone_err err = hone_remote_op(
        remote, "DescribeModelPackage",
        json_pack("{s:s}", "ModelPackageName", hone_field(version, "ModelPackageArn")), &whole);
    if (hone_failed(err)) return; /* it went meanwhile */
    double share = hone_field_number(json_object_get(whole, "HoneMetrics"), "accuracy", -1.0);
    if (share >= 0.0) (void)snprintf(out, 16, "%.1f %%", 100.0 * share);
    json_decref(whole);
}

static hone_err print_versions(const hone_verb_call *call, const json_t *all) {
    static const char *const titles[] = {"GROUP",   ">VERSION",    "STATUS", ">ACCURACY",
                                         "CREATED", "DESCRIPTION", NULL};
    hone_columns rows;
    size_t i = 0;
    json_t *item = NULL;
    hone_columns_init(&rows, hone_remote_arena(call->remote), titles);
    json_array_foreach(all, i, item) {
        char when[HONE_WHEN_SIZE], accuracy[16];
        hone_when_format(hone_field_number(item, "CreationTime", 0.0), when);
        accuracy_of(call->remote, item, accuracy);
        hone_columns_row(&rows);
        hone_columns_cell(&rows, 0, "%s", hone_field(item, "ModelPackageGroupName"));
        hone_columns_cell(&rows, 1, "%.0f", hone_field_number(item, "ModelPackageVersion", 0.0));
        hone_columns_cell(&rows, 2, "%s", hone_field(item, "ModelApprovalStatus"));
        hone_columns_cell(&rows, 3, "%s", accuracy);
        hone_columns_cell(&rows, 4, "%s", when);
        hone_columns_cell(&rows, 5, "%s", hone_field(item, "ModelPackageDescription"));
    }
    return hone_columns_print(&rows, "no model versions yet: hone run PIPELINE registers one");
}

static hone_err list(hone_verb_call *call) {
    const char *status = NULL;
    const hone_option options[] = {{"status", "STATUS",
                                    "Approved, Rejected or PendingManualApproval only",
                                    HONE_OPT_STR, &status, false},
                                   {0}};
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    json_t *all = json_array();
    if (!all) return hone_err_new(HONE_E_NOMEM, "no memory for a list");
    hone_err err = collect(call, status, all);
    if (!hone_failed(err) && call->json) return hone_remote_print(all);
    if (!hone_failed(err)) err = print_versions(call, all);
    json_decref(all);
    return err;
}

/* ---- show ---- */

/* Digits of a figure: of 0.82386363636363635 the last ten say nothing. --json has them all. */
enum { DIGITS = 6 };

/* Nested members as "a.b = value" lines: all that is known, whatever the server tells. */
static void print_members(const char *prefix, json_t *value) {
    const char *key = NULL;
    json_t *member = NULL;
    size_t i = 0;
    char name[256];
    if (json_is_object(value) && json_object_size(value) > 0) {
        json_object_foreach(value, key, member) {
            (void)snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
            print_members(name, member);
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member) {
            (void)snprintf(name, sizeof name, "%s[%zu]", prefix, i);
            print_members(name, member);
        }
    } else if (strlen(prefix) > 4 && strcmp(prefix + strlen(prefix) - 4, "Time") == 0 &&
               json_is_number(value)) {
        char when[HONE_WHEN_SIZE];
        hone_when_format(json_number_value(value), when);
        printf("%s = %s\n", prefix, when);
    } else {
        printf("%s = ", prefix);
        /* main checks stdout */
        (void)json_dumpf(value, stdout,
                         JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(DIGITS));
        putchar('\n');
    }
}

static hone_err show(hone_verb_call *call) {
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    json_t *version = NULL, *whole = NULL;
    HONE_TRY(hone_versions_find(call->remote, call->words[0], NULL, &version));
    hone_err err = hone_remote_op(
        call->remote, "DescribeModelPackage",
        json_pack("{s:s}", "ModelPackageName", hone_field(version, "ModelPackageArn")), &whole);
    json_decref(version);
    if (hone_failed(err)) return err;
    if (call->json) return hone_remote_print(whole);
    print_members("", whole);
    json_decref(whole);
    return HONE_OK;
}

/* ---- approve, reject ---- */

static hone_err judge(hone_verb_call *call, const char *status) {
    const char *note = NULL;
    const hone_option options[] = {
        {"note", "TEXT", "why, kept with the version", HONE_OPT_STR, &note, false}, {0}};
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    json_t *version = NULL;
    HONE_TRY(hone_versions_find(call->remote, call->words[0], NULL, &version));
    hone_err err = hone_remote_op(
        call->remote, "UpdateModelPackage",
        json_pack("{s:s, s:s, s:s*}", "ModelPackageArn", hone_field(version, "ModelPackageArn"),
                  "ModelApprovalStatus", status, "ApprovalDescription", note),
        NULL);
    if (!hone_failed(err) && call->json)
        err = hone_remote_print(
            json_pack("{s:O, s:O, s:O, s:s}", "ModelPackageGroupName",
                      json_object_get(version, "ModelPackageGroupName"), "ModelPackageVersion",
                      json_object_get(version, "ModelPackageVersion"), "ModelPackageArn",
                      json_object_get(version, "ModelPackageArn"), "ModelApprovalStatus", status));
    else if (!hone_failed(err))
        printf("%s:%.0f is %s\n", hone_field(version, "ModelPackageGroupName"),
               hone_field_number(version, "ModelPackageVersion", 0.0), status);
    json_decref(version);
    return err;
}

static hone_err approve(hone_verb_call *call) { return judge(call, "Approved"); }
static hone_err reject(hone_verb_call *call) { return judge(call, "Rejected"); }

hone_err hone_cmd_models(int argc, char **argv) {
    static const hone_verb verbs[] = {
        {"list", list, "[GROUP]", "the versions of all groups or of one, newest first", 0, 1},
        {"show", show, "GROUP[:VERSION]", "all that is known of a version", 1, 1},
        {"approve", approve, "GROUP[:VERSION]", "allow it to be deployed (the newest)", 1, 1},
        {"reject", reject, "GROUP[:VERSION]", "forbid it", 1, 1},
        {0}};
    return hone_verbs_run("models", "Versions of trained models, and their approval.", verbs, argc,
                          argv);
}
