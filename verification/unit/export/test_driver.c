/* SPDX-License-Identifier: Apache-2.0 */
/* The bare-metal driver against a chip that is a few lines of C. Ends with the number of the first line that is wrong. */
#include "tepin.h"
#include "tepin_driver.h"

#define CHECK(condition) do { if (!(condition)) return __LINE__; } while (0)

static uint32_t id = TEPIN_EXPECTED_ID, hash = TEPIN_EXPECTED_CONFIG_HASH;
static uint32_t program[16], address, words, busy, code, sum, next, pending, broken;
static uint32_t window[4];

uint32_t mock_read(uint32_t offset) {
    uint32_t value;
    switch (offset) {
    case TEPIN_ID: return id;
    case TEPIN_ISA_VERSION: return TEPIN_EXPECTED_ISA_VERSION;
    case TEPIN_CONFIG_HASH: return hash;
    case TEPIN_PROGRAM_DATA: return program[address++] ^ broken;
    case TEPIN_STATUS:
        if (busy) { /* a word of the program between two looks */
            if (next == words) busy = 0;
            else if (program[next] == 0) { busy = 0; code = TEPIN_CODE_STOPPED; }
            else { sum += program[next++]; pending = 1; }
        }
        return busy | (uint32_t)(!busy && code != 0) << 2 | pending << 3;
    case TEPIN_TOKEN:
        value = pending ? sum | TEPIN_TOKEN_VALID_MASK : 0;
        pending = 0;
        return value;
    case TEPIN_ERROR: return code;
    case TEPIN_ERROR_PC: return next;
    case TEPIN_ERROR_INFO: return 7;
    case TEPIN_CYCLES_LO: return 0x89abcdefu;
    case TEPIN_CYCLES_HI: return 0x1234u;
    default: return 0xdeadbeefu;
    }
}

void mock_write(uint32_t offset, uint32_t value) {
    switch (offset) {
    case TEPIN_PROGRAM_ADDRESS: address = value; break;
    case TEPIN_PROGRAM_DATA: program[address++] = value; words = address; break;
    case TEPIN_READ_BASE: window[0] = value; break;
    case TEPIN_READ_LIMIT: window[1] = value; break;
    case TEPIN_WRITE_BASE: window[2] = value; break;
    case TEPIN_WRITE_LIMIT: window[3] = value; break;
    case TEPIN_START_PC: next = value; break;
    case TEPIN_CONTROL:
        if (value & TEPIN_CONTROL_START_MASK) { busy = 1; code = 0; sum = 0; }
        if (value & TEPIN_CONTROL_STOP_MASK) { busy = 0; code = TEPIN_CODE_STOPPED; }
        break;
    default: break;
    }
}

int main(void) {
    static const uint32_t good[] = {5, 6, 7}, bad[] = {5, 0};
    const tepin_chip chip = {0};
    const tepin_windows windows = {0, 99, 40, 79};
    uint32_t token = 0;
    CHECK(tepin_identify(&chip) == 0);
    id = 0;
    CHECK(tepin_identify(&chip) == TEPIN_OTHER_DEVICE);
    id = TEPIN_EXPECTED_ID, hash ^= 1;
    CHECK(tepin_identify(&chip) == TEPIN_OTHER_CONFIG);
    CHECK(tepin_load(&chip, good, 3) == 0);
    pending = 1; /* left by somebody else */
    CHECK(tepin_start(&chip, &windows, 0) == 0 && !pending);
    CHECK(window[0] == 0 && window[1] == 99 && window[2] == 40 && window[3] == 79);
    CHECK(tepin_load(&chip, good, 3) == TEPIN_BUSY);
    /* That look at the status has taken the first step. */
    CHECK(tepin_next(&chip, &token) == 1 && token == 11);
    CHECK(tepin_start(&chip, &windows, 0) == TEPIN_BUSY);
    CHECK(tepin_next(&chip, &token) == 1 && token == 18);
    CHECK(tepin_next(&chip, &token) == 2);
    CHECK(tepin_load(&chip, bad, 2) == 0 && tepin_start(&chip, &windows, 0) == 0);
    CHECK(tepin_next(&chip, &token) == 1 && token == 5);
    CHECK(tepin_next(&chip, &token) == TEPIN_FAILED);
    CHECK(tepin_error(&chip).code == TEPIN_CODE_STOPPED && tepin_error(&chip).pc == 1 && tepin_error(&chip).info == 7);
    CHECK(tepin_start(&chip, &windows, 0) == 0);
    tepin_stop(&chip);
    CHECK(!busy);
    broken = 1;
    CHECK(tepin_load(&chip, good, 3) == TEPIN_BAD_PROGRAM);
    CHECK(tepin_counter(&chip, TEPIN_CYCLES_LO) == 0x123489abcdefULL);
    return 0;
}
