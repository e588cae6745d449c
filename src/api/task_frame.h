/* task_frame.h: the page of a task, for a frame that reaches nothing.
 *
 * A template is written by an engineer, and its scripts are legitimate; the text in it is written
 * by anybody. So the frame has an origin of its own, may run scripts, load hone's elements, and
 * nothing else: no network, no cookie, no other page.
 */
#ifndef HONE_API_TASK_FRAME_H
#define HONE_API_TASK_FRAME_H

#include "api/api.h"

/* Answer with content rendered for input, a JSON object. */
void hone_task_frame_reply(const hone_call *call, hone_exchange *exchange, hone_str content,
                           hone_str input);

/* The template without its script element for crowd-html-elements.js, which hone's own takes the
 * place of; in the arena, NULL at its limit. Lines stay where they are. */
hone_str hone_task_frame_strip(hone_arena *arena, hone_str content);

#endif
