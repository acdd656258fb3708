// SPDX-License-Identifier: Apache-2.0
// Traffic for an SDRAM behind its controller, behind a C interface for ctypes: linear bursts that never pause, and among them
// others anywhere. All data are compared with a copy of the memory.

#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "Vsdram_memory.h"
#include "Vsdram_memory___024root.h"
#include "verilated.h"

#if PORT_BYTES == 4
using Word = uint32_t;
#else
using Word = uint16_t;
#endif

namespace {

constexpr uint64_t RESET_CYCLES = 4;
constexpr int OFFERED = 4;  // bursts that wait at an address channel

struct Burst {
    uint32_t word, words;  // in words of the memory
};

struct Result {
    uint64_t cycles, read, written, refreshes, wrong;
    uint32_t violations, reserved;
};

struct Simulation {
    VerilatedContext context;
    std::unique_ptr<Vsdram_memory> top;
    std::vector<Word> expected;
    Word* memory;
    std::mt19937 random;
    Result result{};
    uint32_t linear = 0, sent = 0;  // words of the linear run; beats of the write that is sent
    std::deque<Burst> offered_reads, reads, offered_writes, writes, unanswered;
    uint32_t received = 0;

    Simulation(uint64_t words, uint32_t seed) : random(seed) {
        top = std::make_unique<Vsdram_memory>(&context);
        top->clk = 0;
        top->rst = 1;
        top->arvalid = top->awvalid = top->wvalid = 0;
        top->rready = top->bready = 1;
        top->arburst = top->awburst = 1;
        top->arsize = top->awsize = PORT_BYTES == 4 ? 2 : 1;
        top->arid = top->awid = 0;
        top->wstrb = (1 << PORT_BYTES) - 1;
        top->eval();
        memory = &top->rootp->sdram_memory__DOT__sdram__DOT__memory[0];
        for (uint64_t i = 0; i < RESET_CYCLES; i++) edge();
        top->rst = 0;
        while (!top->ready) edge();
        expected.assign(memory, memory + words);
    }

    void edge() {
        top->clk = 1;
        top->eval();
        top->clk = 0;
        top->eval();
    }

    // The memory's last quarter is for writes beside linear reads: a read and a write that are under way together are in no order.
    uint32_t lower() const { return expected.size() / 4 * 3; }
    uint32_t anywhere(uint32_t begin, uint32_t end) { return begin + random() % ((end - begin) / 1024) * 1024; }

    void run(uint64_t cycles, uint32_t burst, bool write, uint32_t period) {
        for (uint64_t cycle = 0; cycle < cycles && !top->violations; cycle++) {
            if (period && cycle % period == 0) {
                offered_reads.push_back({anywhere(0, lower()) + 64, 16});
                offered_writes.push_back({anywhere(lower(), expected.size()), 16});
                offered_writes.push_back({anywhere(lower(), expected.size()) + 128, 8});
            }
            auto& queue = write ? offered_writes : offered_reads;
            while (queue.size() < OFFERED) {
                queue.push_back({linear, burst});
                linear = (linear + burst) % lower();
            }
            step();
        }
        result.violations |= top->violations;
    }

    void step() {
        // What the memory is offered until the next edge.
        top->arvalid = !offered_reads.empty();
        if (top->arvalid) {
            top->araddr = offered_reads.front().word * PORT_BYTES;
            top->arlen = offered_reads.front().words - 1;
        }
        top->awvalid = !offered_writes.empty() && writes.size() < OFFERED;
        if (top->awvalid) {
            top->awaddr = offered_writes.front().word * PORT_BYTES;
            top->awlen = offered_writes.front().words - 1;
        }
        top->wvalid = !writes.empty();
        if (top->wvalid) {
            top->wdata = value(writes.front().word + sent);
            top->wlast = sent + 1 == writes.front().words;
        }
        top->eval();
        // What moves at it.
        const bool ar = top->arvalid && top->arready, aw = top->awvalid && top->awready;
        const bool w = top->wvalid && top->wready, r = top->rvalid, b = top->bvalid;
        if (r) {
            const Burst& burst = reads.front();
            result.wrong += top->rresp != 0 || top->rdata != expected[burst.word + received];
            result.wrong += top->rlast != (received + 1 == burst.words);
            result.read++;
            if (++received == burst.words) {
                received = 0;
                reads.pop_front();
            }
        }
        if (b) {
            result.wrong += top->bresp != 0;
            unanswered.pop_front();
        }
        if (w) {
            const Burst burst = writes.front();
            result.written++;
            expected[burst.word + sent] = value(burst.word + sent);
            if (++sent == burst.words) {
                sent = 0;
                writes.pop_front();
                generation++;
            }
        }
        if (ar) {
            reads.push_back(offered_reads.front());
            offered_reads.pop_front();
        }
        if (aw) {
            writes.push_back(offered_writes.front());
            unanswered.push_back(offered_writes.front());
            offered_writes.pop_front();
        }
        result.refreshes += top->refresh;
        result.cycles++;
        edge();
    }

    // A word that has not been there before.
    uint64_t generation = 0;
    Word value(uint32_t word) const { return Word((word * 0x9e3779b1u + generation * 0x85ebca6bu) >> 13); }

    // Until all is answered; then the memory has to hold what was written.
    void finish() {
        offered_reads.clear();
        offered_writes.clear();
        for (int i = 0; i < 100000 && !(reads.empty() && unanswered.empty()); i++) step();
        for (int i = 0; i < 64; i++) step();
        result.wrong += reads.size() + unanswered.size();
        for (size_t word = 0; word < expected.size(); word++) result.wrong += memory[word] != expected[word];
    }
};

}  // namespace

extern "C" {

// A memory of so many words, after its power-up.
void* tepin_traffic_create(uint64_t words, uint32_t seed) { return new Simulation(words, seed); }

void tepin_traffic_destroy(void* self) { delete static_cast<Simulation*>(self); }

// Linear bursts for so many cycles, of writes or of reads; with a `period`, in each such time reads of 16 and writes of 16 and 8
// beats anywhere.
// Adds to `result`.
void tepin_traffic_run(void* self, uint64_t cycles, uint32_t burst, uint32_t write, uint32_t period, Result* result) {
    auto* simulation = static_cast<Simulation*>(self);
    simulation->run(cycles, burst, write, period);
    *result = simulation->result;
}

// Waits for all answers, and compares the memory with what it has to hold.
void tepin_traffic_finish(void* self, Result* result) {
    auto* simulation = static_cast<Simulation*>(self);
    simulation->finish();
    *result = simulation->result;
}
}
