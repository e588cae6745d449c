/* version.c: `hone version`: which hone this is, and with --verbose what it computes with here. */
#include "cli/commands.h"
#include "cli/options.h"
#include "nn/gradient.h"
#include "nn/isa.h"
#include "nn/product.h"

#include <stdio.h>

/* A layer of DistilBERT, of every shape that the widest kernels take. */
enum { WIDTH = 768 };

static hone_err print_engine(hone_dtype dtype) {
    hone_product *product = NULL;
    hone_err err = hone_product_create(dtype, WIDTH, WIDTH, &product);
    if (err.code == HONE_E_NOMEM) return err;
    printf("products of %-6s%s\n", hone_dtype_name(dtype),
           hone_failed(err) ? "none" : hone_product_engine(product));
    if (!hone_failed(err)) hone_product_destroy(product);
    return HONE_OK;
}

static hone_err print_machine(void) {
    printf("instruction set   %s\n", hone_isa_name(hone_isa_best()));
    printf("it may be one of");
    for (int isa = 0; isa < HONE_ISA_COUNT; isa++)
        if (hone_isa_runs((hone_isa)isa)) printf(" %s", hone_isa_name((hone_isa)isa));
    putchar('\n');
    for (int dtype = 0; dtype < HONE_DTYPE_COUNT; dtype++)
        HONE_TRY(print_engine((hone_dtype)dtype));
    printf("gradients         %s\n", hone_gradient_engine());
    return HONE_OK;
}

hone_err hone_cmd_version(int argc, char **argv) {
    bool verbose = false, help_shown = false;
    size_t words = 0;
    const hone_usage usage = {"version", "[--verbose]", "Print the version of hone."};
    const hone_option options[] = {{"verbose", NULL, "and what it computes with on this machine",
                                    HONE_OPT_FLAG, &verbose, false},
                                   {0}};
    HONE_TRY(hone_options_parse(&usage, options, argc, argv, NULL, 0, &words, &help_shown));
    if (help_shown) return HONE_OK;
    puts("hone " HONE_VERSION);
    return verbose ? print_machine() : HONE_OK;
}
