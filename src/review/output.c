/* output.c: A2I's output.json, a projection of the rows of a loop and its answers.
 *
 *     s3://BUCKET/PREFIX/FLOW/YYYY/MM/DD/hh/mm/ss/LOOP/output.json      the time the loop began
 */
#include "base/clock.h"
#include "base/json.h"
#include "review/answers_impl.h"
#include "review/json_text.h"
#include "review/rows_impl.h"

#include <stdio.h>

static void push_member(hone_buf *out, const char *name, const char *value) {
    hone_buf_printf(out, "\"%s\":", name);
    hone_json_text_push_str(out, hone_str_of(value), HONE_JSON_PLAIN);
}

/* Members in the order of the alphabet, as the service writes them. */
static void push_answer(hone_buf *out, const answer_row *a, bool is_first) {
    char time[HONE_TIME_SIZE];
    hone_time_format(a->accepted_ms, time);
    hone_buf_push(out, is_first ? HONE_S("{") : HONE_S(",{"));
    push_member(out, "acceptanceTime", time);
    hone_buf_push(out, HONE_S(",\"answerContent\":"));
    hone_buf_push(out, hone_str_of(a->content));
    hone_buf_push_char(out, ',');
    hone_time_format(a->submitted_ms, time);
    push_member(out, "submissionTime", time);
    hone_buf_push(out, HONE_S(",\"timeSpentInSeconds\":"));
    hone_json_text_push_real(out, a->seconds);
    hone_buf_push_char(out, ',');
    push_member(out, "workerId", a->worker);
    hone_buf_push(out, HONE_S(",\"workerMetadata\":{\"identityData\":{"
                              "\"identityProviderType\":\"Oidc\","));
    push_member(out, "issuer", a->issuer);
    hone_buf_push_char(out, ',');
    push_member(out, "sub", a->worker);
    hone_buf_push(out, HONE_S("}}}"));
}

static hone_err read_answer(const hone_rows *rows, hone_arena *arena, void *out) {
    answer_row answer = {.worker = hone_review_text(rows, 0, arena),
                         .issuer = hone_review_text(rows, 1, arena),
                         .content = hone_review_text(rows, 2, arena),
                         .accepted_ms = hone_rows_int(rows, 3),
                         .submitted_ms = hone_rows_int(rows, 4),
                         .seconds = hone_rows_real(rows, 5)};
    if (!answer.worker || !answer.issuer || !answer.content)
        return hone_err_new(HONE_E_NOMEM, "no memory for an answer");
    *(answer_row *)out = answer;
    return HONE_OK;
}

static hone_err push_answers(hone_tx *tx, hone_arena *arena, int64_t loop, const answer_row *more,
                             hone_buf *out) {
    hone_rows rows;
    answer_row answer = {0};
    bool next = false, is_first = true;
    hone_err err = hone_rows_open(tx, &rows,
                                  "SELECT a.worker, a.issuer, a.content, a.accepted_ms,"
                                  " a.submitted_ms, a.seconds FROM review_answer a"
                                  " JOIN review_task t ON t.id = a.task WHERE t.loop = ?"
                                  " ORDER BY a.submitted_ms, a.id",
                                  "i", loop);
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &next)) && next) {
        err = read_answer(&rows, arena, &answer);
        if (!hone_failed(err)) push_answer(out, &answer, is_first);
        is_first = false;
    }
    hone_rows_close(&rows);
    if (!hone_failed(err) && more) push_answer(out, more, is_first);
    return err;
}

static hone_str trim(hone_str s) {
    while (s.len > 0 && (unsigned char)s.ptr[0] <= ' ') s = (hone_str){s.ptr + 1, s.len - 1};
    while (s.len > 0 && (unsigned char)s.ptr[s.len - 1] <= ' ') s.len--;
    return s;
}

hone_err hone_output_format(hone_tx *tx, hone_arena *arena, const hone_loop *loop,
                            const answer_row *more, hone_buf *out) {
    hone_str input;
    HONE_TRY(hone_tx_str(tx, arena, &input, "SELECT input FROM review_loop WHERE id = ?", "i",
                         loop->id));
    hone_buf_push_char(out, '{');
    push_member(out, "flowDefinitionArn", loop->flow_arn);
    hone_buf_push(out, HONE_S(",\"humanAnswers\":["));
    HONE_TRY(push_answers(tx, arena, loop->id, more, out));
    hone_buf_push(out, HONE_S("],"));
    push_member(out, "humanLoopName", loop->name);
    hone_buf_push(out, HONE_S(",\"inputContent\":"));
    hone_buf_push(out, trim(input)); /* as it was sent: no number changes on the way */
    hone_buf_push_char(out, '}');
    return hone_buf_err(out);
}

hone_err hone_output_place(hone_tx *tx, hone_arena *arena, const hone_loop *loop,
                           output_place *out) {
    char time[HONE_TIME_SIZE];
    hone_buf uri;
    hone_str bucket, prefix;
    HONE_TRY(hone_tx_str(tx, arena, &bucket, "SELECT bucket FROM review_flow WHERE id = ?", "i",
                         loop->flow));
    HONE_TRY(hone_tx_str(tx, arena, &prefix, "SELECT prefix FROM review_flow WHERE id = ?", "i",
                         loop->flow));
    hone_time_format_path(loop->created_ms, time);
    hone_buf_init(&uri, 2 * (size_t)HONE_KEY_MAX);
    hone_buf_printf(&uri, "s3://%.*s/%.*s%s%s/%s/%s/output.json", HONE_ARG(bucket),
                    HONE_ARG(prefix), prefix.len > 0 ? "/" : "", loop->flow_name, time, loop->name);
    hone_err err = hone_buf_err(&uri);
    const char *text = hone_failed(err) ? NULL : hone_arena_strdup(arena, hone_buf_str(&uri));
    hone_buf_done(&uri);
    if (hone_failed(err)) return err;
    if (!text) return hone_review_no_memory();
    out->uri = text;
    return hone_s3_uri_parse(hone_str_of(text), &out->bucket, &out->key);
}

hone_err hone_output_link(hone_objects *objects, hone_tx *tx, const output_place *place,
                          const hone_staged *staged) {
    int64_t created_ms = 0;
    hone_object_put put = {.bucket = place->bucket,
                           .key = place->key,
                           .staged = staged,
                           .content_type = HONE_S("application/json")};
    hone_err err = hone_objects_bucket_find(tx, place->bucket, &created_ms);
    if (err.code == HONE_E_NOT_FOUND) err = hone_objects_bucket_create(objects, tx, place->bucket);
    return hone_failed(err) ? err : hone_objects_link(objects, tx, &put);
}
