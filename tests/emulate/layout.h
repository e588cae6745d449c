/* layout.h: where things lie on the disk and in memory; for C and the assembler. */
#ifndef LAYOUT_H
#define LAYOUT_H

#define CODE           8 /* selectors */
#define DATA           16
#define PAGE_TABLES    0x1000
#define KERNEL         0x10000
#define KERNEL_SECTORS 127 /* behind the first; what one call of the BIOS can read */
#define KERNEL_STACK   0x90000
#define FILES          0x1000000 /* the archive, from sector KERNEL_SECTORS + 1 */
#define MEMORY_END     0x40000000

#endif
