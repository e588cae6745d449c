/* machine.h: the bare processor below a test program: its registers, its disk, the port that
 * the emulator prints. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stddef.h>
#include <stdint.h>

void machine_init(void);

/* Text for the emulator's own output. */
void machine_write(const char *text, size_t size);
void machine_say(const char *text); /* terminated */
void machine_say_number(uint64_t number);

/* 512 bytes each. */
void machine_read_sectors(uint32_t first, uint32_t count, void *to);

void machine_set_fs(uint64_t base);
uint64_t machine_ticks(void);

/* The last line is "== exit STATUS". */
_Noreturn void machine_end(uint64_t status);

/* What a freestanding compiler expects. */
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

#endif
