/* task_uis.h: human task UIs: the templates of review pages.
 *
 * One that is deleted is gone from the lists, and its name is free; flows that name it keep it.
 */
#ifndef HONE_REVIEW_TASK_UIS_H
#define HONE_REVIEW_TASK_UIS_H

#include "review/review.h"

typedef struct hone_task_ui {
    int64_t id;
    const char *name, *arn, *content, *sha256;
    int64_t created_ms;
} hone_task_ui;

enum { HONE_TEMPLATE_CHARS_MAX = 128000 };

/* CONFLICT when it exists, INVALID when the content is no template: names the line. */
HONE_NODISCARD hone_err hone_task_ui_add(hone_tx *tx, hone_arena *arena, hone_realm realm,
                                         const char *actor, hone_str name, hone_str content,
                                         hone_task_ui *out);
/* By name or ARN. NOT_FOUND. */
HONE_NODISCARD hone_err hone_task_ui_find(hone_tx *tx, hone_arena *arena, hone_str name,
                                          hone_task_ui *out);
/* Without contents. */
HONE_NODISCARD hone_err hone_task_ui_list(hone_tx *tx, hone_arena *arena,
                                          const hone_review_listing *listing, hone_task_ui **out,
                                          size_t *count, bool *more);
HONE_NODISCARD hone_err hone_task_ui_remove(hone_tx *tx, hone_arena *arena, const char *actor,
                                            hone_str name);

#endif
