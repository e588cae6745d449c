/* Any bytes as config.json: refused with an error, or a config within the limits whose
 * parameters can be laid out and whose labels can be replaced. */
#include "model/params.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_config config;
    if (hone_failed(hone_config_parse((hone_str){(const char *)data, size}, "input", &config)))
        return 0;
    if (config.labels == 0 || config.heads == 0 || config.hidden % config.heads != 0) abort();
    for (size_t i = 0; i < config.labels; i++)
        if (!config.label_names[i]) abort();

    hone_params params;
    if (!hone_failed(hone_params_create(&config, &params))) {
        const hone_param *last = &params.items[params.count - 1];
        if (last->offset + last->count > params.total) abort();
        hone_params_done(&params);
    }
    const char *const names[] = {"no", "yes"};
    if (!hone_failed(hone_config_set_labels(&config, HONE_SINGLE_LABEL, names, 2)) &&
        config.labels != 2)
        abort();
    hone_config_done(&config);
    return 0;
}
