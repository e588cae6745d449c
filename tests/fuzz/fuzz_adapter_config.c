/* Any bytes as adapter_config.json: refused with an error, or a rank and a scale within limits. */
#include "train/adapter.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_adapter_config config;
    hone_str bytes = {(const char *)data, size};
    if (hone_failed(hone_adapter_parse(bytes, "input", &config))) return 0;
    if (config.rank < 1 || config.rank > HONE_LORA_RANK_MAX) abort();
    if (!isfinite(config.scale) || config.scale < 0) abort();
    return 0;
}
