/* merge.c: `hone merge`: a base model and an adapter in PEFT's format in, a model folder out. */
#include "base/heap.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "train/adapter.h"

#include <stdio.h>

hone_err hone_cmd_merge(int argc, char **argv) {
    static const hone_usage usage = {"merge", "--base DIR --adapter DIR --out DIR",
                                     "Add a LoRA adapter, as `hone train --mode lora` or peft "
                                     "saves it, to the model that it was\n"
                                     "trained on. Writes a complete Hugging Face folder."};
    const char *base = NULL, *adapter = NULL, *out = NULL;
    const hone_option options[] = {
        {"base", "DIR", "the model that the adapter was trained on", HONE_OPT_STR, &base, true},
        {"adapter", "DIR", "with adapter_config.json and adapter_model.safetensors", HONE_OPT_STR,
         &adapter, true},
        {"out", "DIR", "where to write; a model there is replaced", HONE_OPT_STR, &out, true},
        {0}};
    size_t words = 0;
    bool help_shown = false;
    HONE_TRY(hone_options_parse(&usage, options, argc, argv, NULL, 0, &words, &help_shown));
    if (help_shown) return HONE_OK;
    hone_heap_keep();
    HONE_TRY(hone_adapter_merge(base, adapter, out));
    fprintf(stderr, "wrote '%s'\n", out);
    return HONE_OK;
}
