/* SPDX-License-Identifier: Apache-2.0 */
/* A chip for the driver's test: its program adds up its words, and pushes the sum after each; a word of 0 is an error. */
#include <stdint.h>

uint32_t mock_read(uint32_t offset);
void mock_write(uint32_t offset, uint32_t value);
#define TEPIN_READ(chip, offset) ((void)(chip), mock_read(offset))
#define TEPIN_WRITE(chip, offset, value) ((void)(chip), mock_write(offset, value))
