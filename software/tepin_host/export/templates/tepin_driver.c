/* SPDX-License-Identifier: Apache-2.0 */
#include "tepin_driver.h"
#include "tepin.h"

/* How registers are reached: in memory, unless something else is defined. */
#ifndef TEPIN_READ
#define TEPIN_READ(chip, offset) ((chip)->base[(offset) / 4])
#define TEPIN_WRITE(chip, offset, value) ((chip)->base[(offset) / 4] = (value))
#endif

static uint32_t get(const tepin_chip *chip, uint32_t offset) {
    return TEPIN_READ(chip, offset);
}

static void put(const tepin_chip *chip, uint32_t offset, uint32_t value) {
    TEPIN_WRITE(chip, offset, value);
}

int tepin_identify(const tepin_chip *chip) {
    if (get(chip, TEPIN_ID) != TEPIN_EXPECTED_ID)
        return TEPIN_OTHER_DEVICE;
    if (get(chip, TEPIN_ISA_VERSION) != TEPIN_EXPECTED_ISA_VERSION)
        return TEPIN_OTHER_ISA;
    if (get(chip, TEPIN_CONFIG_HASH) != TEPIN_EXPECTED_CONFIG_HASH)
        return TEPIN_OTHER_CONFIG;
    return 0;
}

int tepin_load(const tepin_chip *chip, const uint32_t *words, uint32_t count) {
    uint32_t index;
    if (get(chip, TEPIN_STATUS) & TEPIN_STATUS_BUSY_MASK)
        return TEPIN_BUSY;
    put(chip, TEPIN_PROGRAM_ADDRESS, 0);
    for (index = 0; index < count; index++)
        put(chip, TEPIN_PROGRAM_DATA, words[index]);
    put(chip, TEPIN_PROGRAM_ADDRESS, 0);
    for (index = 0; index < count; index++)
        if (get(chip, TEPIN_PROGRAM_DATA) != words[index])
            return TEPIN_BAD_PROGRAM;
    return 0;
}

int tepin_start(const tepin_chip *chip, const tepin_windows *windows, uint32_t pc) {
    if (get(chip, TEPIN_STATUS) & TEPIN_STATUS_BUSY_MASK)
        return TEPIN_BUSY;
    while (get(chip, TEPIN_TOKEN) & TEPIN_TOKEN_VALID_MASK)
        ;
    put(chip, TEPIN_READ_BASE, windows->read_first);
    put(chip, TEPIN_READ_LIMIT, windows->read_last);
    put(chip, TEPIN_WRITE_BASE, windows->write_first);
    put(chip, TEPIN_WRITE_LIMIT, windows->write_last);
    put(chip, TEPIN_START_PC, pc);
    put(chip, TEPIN_CONTROL, TEPIN_CONTROL_START_MASK);
    return 0;
}

int tepin_poll(const tepin_chip *chip, uint32_t *token) {
    /* The status first: a token that comes between the two reads is found by the next call. */
    uint32_t status = get(chip, TEPIN_STATUS);
    uint32_t word = get(chip, TEPIN_TOKEN);
    if (word & TEPIN_TOKEN_VALID_MASK) {
        *token = word & TEPIN_TOKEN_VALUE_MASK;
        return 1;
    }
    if (status & (TEPIN_STATUS_BUSY_MASK | TEPIN_STATUS_TOKEN_MASK))
        return 0;
    return status & TEPIN_STATUS_ERROR_MASK ? TEPIN_FAILED : 2;
}

int tepin_next(const tepin_chip *chip, uint32_t *token) {
    int result;
    do {
        result = tepin_poll(chip, token);
    } while (result == 0);
    return result;
}

void tepin_stop(const tepin_chip *chip) {
    if (get(chip, TEPIN_STATUS) & TEPIN_STATUS_BUSY_MASK)
        put(chip, TEPIN_CONTROL, TEPIN_CONTROL_STOP_MASK);
    while (get(chip, TEPIN_STATUS) & TEPIN_STATUS_BUSY_MASK)
        ;
}

tepin_failure tepin_error(const tepin_chip *chip) {
    tepin_failure failure;
    failure.code = get(chip, TEPIN_ERROR);
    failure.pc = get(chip, TEPIN_ERROR_PC);
    failure.info = get(chip, TEPIN_ERROR_INFO);
    return failure;
}

uint64_t tepin_counter(const tepin_chip *chip, uint32_t low_half) {
    uint64_t low = get(chip, low_half); /* latches the upper half */
    return low | (uint64_t)get(chip, low_half + 4) << 32;
}
