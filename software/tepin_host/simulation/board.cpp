// SPDX-License-Identifier: Apache-2.0
// The serial line and the clock around a compiled board, behind a C interface for ctypes.
//
// The line is 8N1, bit by bit. Both directions count their bits in cycles of the board's clock, so the rates agree as well as those of
// two good oscillators.

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "Vboard.h"
#ifndef SERIAL_ONLY
#include "Vboard___024root.h"
#endif
#include "Vboard__Dpi.h"
#include "verilated.h"

namespace {

constexpr uint64_t RESET_CYCLES = 4;
constexpr int FRAME_BITS = 10;

// Bytes to levels.
struct Sender {
    uint64_t clock_hz, baud, phase = 0;
    uint32_t frame = 0;  // levels that are left, the present one lowest
    int bits = 0;
    std::deque<uint8_t> bytes;

    bool level() {
        if (bits == 0) {
            if (bytes.empty()) return true;
            frame = 0x200u | bytes.front() << 1;
            bytes.pop_front();
            bits = FRAME_BITS;
            phase = 0;
        }
        const bool result = frame & 1;
        phase += baud;
        if (phase >= clock_hz) {
            phase -= clock_hz;
            frame >>= 1;
            bits--;
        }
        return result;
    }
};

// Levels to bytes, each bit taken in its middle.
struct Receiver {
    uint64_t clock_hz, baud, phase = 0;
    uint32_t frame = 0;
    int bits = 0;  // that are left
    std::vector<uint8_t> bytes;
    uint64_t framing_errors = 0;

    void sample(bool level) {
        if (bits == 0) {
            if (level) return;
            bits = FRAME_BITS;
            frame = 0;
            phase = clock_hz / 2;
        }
        phase += baud;
        if (phase < clock_hz) return;
        phase -= clock_hz;
        frame = frame >> 1 | uint32_t(level) << (FRAME_BITS - 1);
        if (--bits > 0) return;
        if (frame & 0x200 && !(frame & 1))
            bytes.push_back(frame >> 1 & 0xff);
        else
            framing_errors++;
    }
};

struct Board {
    VerilatedContext context;
    std::unique_ptr<Vboard> top;
    uint64_t cycle = 0;
    uint32_t violations = 0;  // what the memory has objected to; the first one stops the clock
    Sender sender;
    Receiver receiver;
    std::vector<uint32_t> observed;

    Board(uint64_t clock_hz, uint64_t baud) : sender{clock_hz, baud}, receiver{clock_hz, baud} {
        top = std::make_unique<Vboard>(&context);
        top->clk = 0;
        top->simulation = reinterpret_cast<uint64_t>(this);
#ifndef SERIAL_ONLY
        top->data_low = 0;
        top->address_low = 0;
#endif
        top->eval();
    }

    void step() {
        top->clk = 1;
        top->eval();
        top->clk = 0;
        top->eval();
        cycle++;
    }

    uint64_t run(uint64_t cycles) {
        const uint64_t start = cycle;
        while (cycle - start < cycles && !violations) step();
        return cycle - start;
    }
};

}  // namespace

extern "C" {

void tepin_board_tick(unsigned long long simulation, svBit tx, svBit probe_valid, const svBitVecVal* probe_data,
                      const svBitVecVal* violations, svBit* next_rst, svBit* next_rx) {
    auto* self = reinterpret_cast<Board*>(simulation);
    *next_rst = self->cycle < RESET_CYCLES;
    if (self->cycle > RESET_CYCLES) {
        if (probe_valid) self->observed.push_back(*probe_data);
        self->receiver.sample(tx);
    }
    *next_rx = self->sender.level();
    self->violations |= *violations;
}

void* tepin_board_create(uint64_t clock_hz, uint64_t baud) { return new Board(clock_hz, baud); }

void tepin_board_destroy(void* self) { delete static_cast<Board*>(self); }

#ifndef SERIAL_ONLY
// The SDRAM's words, which may be changed between runs.
void* tepin_board_memory(void* self) {
    return &static_cast<Board*>(self)->top->rootp->board__DOT__sdram__DOT__memory[0];
}

// From now on these data pins and address pins are low.
void tepin_board_hold_low(void* self, uint32_t data, uint32_t address) {
    auto* board = static_cast<Board*>(self);
    board->top->data_low = data;
    board->top->address_low = address;
}
#endif

// Runs so many cycles, fewer if the memory objects; returns the cycles run.
uint64_t tepin_board_run(void* self, uint64_t cycles) { return static_cast<Board*>(self)->run(cycles); }

uint64_t tepin_board_cycle(void* self) { return static_cast<Board*>(self)->cycle; }

uint32_t tepin_board_leds(void* self) { return static_cast<Board*>(self)->top->leds; }

uint32_t tepin_board_violations(void* self) { return static_cast<Board*>(self)->violations; }

// Puts bytes on the line, behind those that still wait.
void tepin_board_send(void* self, const uint8_t* bytes, uint64_t count) {
    auto& waiting = static_cast<Board*>(self)->sender.bytes;
    waiting.insert(waiting.end(), bytes, bytes + count);
}

// Bytes that still wait for the line.
uint64_t tepin_board_waiting(void* self) { return static_cast<Board*>(self)->sender.bytes.size(); }

// Bytes that have come from the line since the last tepin_board_taken.
uint64_t tepin_board_received(void* self, const uint8_t** bytes) {
    const auto& received = static_cast<Board*>(self)->receiver.bytes;
    *bytes = received.data();
    return received.size();
}

void tepin_board_taken(void* self) { static_cast<Board*>(self)->receiver.bytes.clear(); }

uint64_t tepin_board_framing_errors(void* self) { return static_cast<Board*>(self)->receiver.framing_errors; }

// Words seen on the probe since the last tepin_board_forget.
uint64_t tepin_board_observed(void* self, const uint32_t** words) {
    const auto& observed = static_cast<Board*>(self)->observed;
    *words = observed.data();
    return observed.size();
}

void tepin_board_forget(void* self) { static_cast<Board*>(self)->observed.clear(); }
}
