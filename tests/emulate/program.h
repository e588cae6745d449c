/* program.h: a Linux program out of the archive, and its loader, brought into memory and begun. */
#ifndef PROGRAM_H
#define PROGRAM_H

/* With the arguments and the environment of file 0. */
_Noreturn void program_run(void);

#endif
