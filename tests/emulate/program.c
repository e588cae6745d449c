/* program.c: see program.h. Programs and their loader are position independent: they are mapped
 * wherever there is room. The stack begins as Linux gives it: the count of arguments, the
 * arguments, the environment, and numbers for the loader. */
#include "program.h"

#include "files.h"
#include "machine.h"
#include "memory.h"
#include "threads.h"

#include <elf.h>

enum { STACK_BYTES = 16 << 20, STRINGS_MAX = 64 };

typedef struct image {
    uint64_t base, entry, headers, header_count;
    const char *loader; /* NULL = none */
} image;

static _Noreturn void fail(const char *what, const char *path) {
    machine_say(what);
    machine_say(path);
    machine_end(255);
}

static image load(const char *path) {
    int index = files_find(path);
    if (index == NO_FILE) fail("no file ", path);
    const char *data = files_get(index).data;
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)data;
    if (memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 || elf->e_type != ET_DYN)
        fail("no position-independent program: ", path);
    const Elf64_Phdr *parts = (const Elf64_Phdr *)(data + elf->e_phoff);
    uint64_t end = 0;
    for (int i = 0; i < elf->e_phnum; i++)
        if (parts[i].p_type == PT_LOAD) end = parts[i].p_vaddr + parts[i].p_memsz;
    image it = {.base = memory_map(end)};
    if (!it.base) fail("no memory for ", path);
    for (int i = 0; i < elf->e_phnum; i++) {
        if (parts[i].p_type == PT_LOAD)
            memcpy((void *)(it.base + parts[i].p_vaddr), data + parts[i].p_offset,
                   parts[i].p_filesz);
        if (parts[i].p_type == PT_INTERP) it.loader = data + parts[i].p_offset;
    }
    it.entry = it.base + elf->e_entry;
    it.headers = it.base + elf->e_phoff;
    it.header_count = elf->e_phnum;
    return it;
}

/* Pointers to the texts from *next on, up to an empty one; NULL behind them. */
static uint64_t *push_texts(uint64_t *stack, const char **next) {
    const char *text = *next;
    for (; *text; text += strlen(text) + 1) *stack++ = (uint64_t)text;
    *next = text + 1;
    *stack++ = 0;
    return stack;
}

static uint64_t *push_pair(uint64_t *stack, uint64_t name, uint64_t value) {
    stack[0] = name;
    stack[1] = value;
    return stack + 2;
}

_Noreturn void program_run(void) {
    static const uint64_t random[2] = {0x243F6A8885A308D3, 0x13198A2E03707344};
    const char *texts = files_get(0).data, *path = texts;
    image program = load(path), loader = program;
    if (program.loader) loader = load(program.loader);
    uint64_t bottom = memory_map(STACK_BYTES);
    if (!bottom) fail("no memory for the stack of ", path);
    uint64_t *stack = (uint64_t *)(bottom + STACK_BYTES - PAGE), *at = stack + 1;
    at = push_texts(at, &texts);
    *stack = (uint64_t)(at - stack - 2);
    at = push_texts(at, &texts);
    at = push_pair(at, AT_PHDR, program.headers);
    at = push_pair(at, AT_PHENT, sizeof(Elf64_Phdr));
    at = push_pair(at, AT_PHNUM, program.header_count);
    at = push_pair(at, AT_PAGESZ, PAGE);
    at = push_pair(at, AT_BASE, program.loader ? loader.base : 0);
    at = push_pair(at, AT_ENTRY, program.entry);
    at = push_pair(at, AT_SECURE, 0);
    at = push_pair(at, AT_RANDOM, (uint64_t)random);
    at = push_pair(at, AT_EXECFN, (uint64_t)path);
    (void)push_pair(at, AT_NULL, 0);
    threads_begin(loader.entry, (uint64_t)stack);
}
