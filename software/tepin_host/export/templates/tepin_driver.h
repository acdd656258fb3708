/* SPDX-License-Identifier: Apache-2.0 */
/* Drives a Tepin chip from a processor without an operating system. C99; needs nothing but <stdint.h>. */
#ifndef TEPIN_DRIVER_H
#define TEPIN_DRIVER_H

#include <stdint.h>

/* A chip: where its port s_axil is. */
typedef struct {
    volatile uint32_t *base;
} tepin_chip;

/* What the functions return if something is wrong; 0 and more means that it is not. */
enum {
    TEPIN_OTHER_DEVICE = -1,   /* register ID is not that of a Tepin */
    TEPIN_OTHER_ISA = -2,      /* the chip has another instruction set than tepin.h */
    TEPIN_OTHER_CONFIG = -3,   /* the chip is of another configuration than tepin.h */
    TEPIN_BUSY = -4,           /* a program runs */
    TEPIN_BAD_PROGRAM = -5,    /* the program memory does not read back what was written */
    TEPIN_FAILED = -6          /* the program ended with an error: see tepin_error */
};

/* What a program may read and write: first and last byte. */
typedef struct {
    uint32_t read_first, read_last, write_first, write_last;
} tepin_windows;

/* Whether this is the chip that the software was made for. Returns 0, or what is wrong. */
int tepin_identify(const tepin_chip *chip);

/* Writes words to the program memory, from word 0 on, and reads them back. */
int tepin_load(const tepin_chip *chip, const uint32_t *words, uint32_t count);

/* Starts the program at word `pc`. Tokens that an earlier program has left are dropped. */
int tepin_start(const tepin_chip *chip, const tepin_windows *windows, uint32_t pc);

/* 1 if a token was there and is in *token, 0 if there was none yet, 2 if the program has ended and there are no more,
   TEPIN_FAILED if it has ended with an error. Never waits. */
int tepin_poll(const tepin_chip *chip, uint32_t *token);

/* Waits for the next token: 1 if it is in *token, 2 at the end, or TEPIN_FAILED. */
int tepin_next(const tepin_chip *chip, uint32_t *token);

/* Ends a program that runs, and waits until the chip is ready for the next. */
void tepin_stop(const tepin_chip *chip);

/* Why the last program failed: one of TEPIN_CODE_..., where in the program, and an address or a value. */
typedef struct {
    uint32_t code, pc, info;
} tepin_failure;
tepin_failure tepin_error(const tepin_chip *chip);

/* A performance counter: offset of its lower half, such as TEPIN_CYCLES_LO. */
uint64_t tepin_counter(const tepin_chip *chip, uint32_t low_half);

#endif
