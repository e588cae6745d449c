/* tasks_impl.h: a task as those who change it need it.
 */
#ifndef HONE_REVIEW_TASKS_IMPL_H
#define HONE_REVIEW_TASKS_IMPL_H

#include "review/loops_impl.h"
#include "review/tasks.h"

typedef struct task_row {
    hone_task task;
    int64_t loop, flow, ui;
    int64_t user;     /* who holds or held it; 0 = nobody */
    hone_str lease;   /* empty = none */
    hone_loop parent; /* the loop */
} task_row;

/* NOT_FOUND also when it is not for who's teams. */
HONE_NODISCARD hone_err hone_task_row_find(hone_tx *tx, hone_arena *arena, const hone_reviewer *who,
                                           int64_t id, task_row *out);

/* CLOSED unless lease is who's token for the task and its loop is open. */
HONE_NODISCARD hone_err hone_task_row_check(const task_row *row, const hone_reviewer *who,
                                            hone_str lease);

#endif
