/* Any bytes as a pipeline document: refused with a message, or a graph whose steps can run in
 * the order that they are given in, with arguments that resolve or say why not. */
#include "pipeline/definition.h"
#include "pipeline/expression.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const hone_definition *d) {
    json_t *parameters = NULL, *execution = json_pack("{s:s}", "PipelineExecutionId", "abc");
    for (size_t i = 0; i < d->step_count; i++)
        for (size_t j = 0; j < d->steps[i].needs_count; j++)
            if (d->steps[i].needs[j] >= i) abort();
    if (!hone_failed(hone_parameters_resolve(d, NULL, &parameters))) {
        hone_scope scope = {parameters, execution, NULL};
        for (size_t i = 0; i < d->step_count; i++) {
            json_t *resolved = NULL;
            if (!hone_failed(hone_expressions_resolve(d->steps[i].arguments, &scope, &resolved)))
                json_decref(resolved);
        }
        json_decref(parameters);
    }
    json_decref(execution);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_arena *arena = NULL;
    hone_definition d;
    if (hone_failed(hone_arena_create(1 << 26, &arena))) return 0;
    hone_err err = hone_definition_parse(arena, (hone_str){(const char *)data, size}, &d);
    if (!hone_failed(err)) use(&d);
    if (hone_failed(err) && !err.msg[0]) abort();
    hone_arena_destroy(arena);
    return 0;
}
