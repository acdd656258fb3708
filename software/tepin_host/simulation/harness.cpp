// SPDX-License-Identifier: Apache-2.0
// The compiled chip with an AXI4 memory around it, behind a C interface for ctypes.
//
// The memory accepts an address per cycle and channel, delivers the first beat of a read burst LATENCY cycles after
// its address, one beat per cycle, bursts in order, and answers a write LATENCY cycles after its last beat. Reads and
// writes do not slow each other down. Beyond its end it answers DECERR; one range may be made to answer SLVERR.

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "Vtepin.h"
#include "verilated.h"

namespace {

constexpr uint8_t OKAY = 0, SLVERR = 2, DECERR = 3;
constexpr uint64_t HOST_PATIENCE = 10000;  // cycles until a register access counts as lost

struct Burst {
    uint32_t id;
    uint64_t address;
    uint32_t beats;
    uint64_t ready;  // cycle of the first beat, or of the response
    uint8_t response;
};

struct Simulation {
    VerilatedContext context;
    std::unique_ptr<Vtepin> top;
    uint8_t* memory;
    uint64_t memory_bytes;
    uint64_t latency;
    uint64_t cycle = 0;

    std::deque<Burst> reads, writes, responses;
    uint64_t fault_base = 0, fault_limit = 0;
    uint32_t stall_percent = 0;
    std::minstd_rand random;
    std::vector<uint32_t> observed;

    static constexpr uint64_t WIDTH = sizeof(Vtepin::m_axi_rdata) < PORT_BYTES ? 0 : PORT_BYTES;

    Simulation(uint8_t* memory, uint64_t memory_bytes, uint64_t latency)
        : memory(memory), memory_bytes(memory_bytes), latency(latency) {
        top = std::make_unique<Vtepin>(&context);
        top->clk = 0;
        top->rst = 1;
        for (int i = 0; i < 4; i++) step();
        top->rst = 0;
        step();
    }

    bool stalled() { return stall_percent && random() % 100 < stall_percent; }

    uint8_t respond(uint64_t address) const {
        if (address + WIDTH > (memory_bytes + WIDTH - 1) / WIDTH * WIDTH) return DECERR;
        return address + WIDTH > fault_base && address < fault_limit ? SLVERR : OKAY;
    }

    void copy_beat(uint64_t address, uint8_t* to) const {
        const uint64_t start = address / WIDTH * WIDTH;
        for (uint64_t i = 0; i < WIDTH; i++) to[i] = start + i < memory_bytes ? memory[start + i] : 0;
    }

    void drive() {
        top->m_axi_arready = !stalled();
        top->m_axi_awready = !stalled();
        top->m_axi_wready = !writes.empty() && !stalled();
        const bool read = !reads.empty() && reads.front().ready <= cycle && (top->m_axi_rvalid || !stalled());
        top->m_axi_rvalid = read;
        if (read) {
            const Burst& burst = reads.front();
            const uint8_t response = respond(burst.address);
            top->m_axi_rid = burst.id;
            top->m_axi_rresp = response;
            top->m_axi_rlast = burst.beats == 1;
            uint8_t beat[WIDTH] = {};
            if (response == OKAY) copy_beat(burst.address, beat);
            std::memcpy(&top->m_axi_rdata, beat, WIDTH);
        }
        const bool response = !responses.empty() && responses.front().ready <= cycle;
        top->m_axi_bvalid = response;
        if (response) {
            top->m_axi_bid = responses.front().id;
            top->m_axi_bresp = responses.front().response;
        }
    }

    void step() {
        drive();
        top->clk = 0;
        top->eval();
        const bool ar = top->m_axi_arvalid && top->m_axi_arready, aw = top->m_axi_awvalid && top->m_axi_awready;
        const bool r = top->m_axi_rvalid && top->m_axi_rready, b = top->m_axi_bvalid && top->m_axi_bready;
        const bool w = top->m_axi_wvalid && top->m_axi_wready;
        if (!top->rst) {
            if (r) {
                Burst& burst = reads.front();
                burst.address = (burst.address / WIDTH + 1) * WIDTH;
                if (--burst.beats == 0) reads.pop_front();
            }
            if (b) responses.pop_front();
            if (w) write_beat();
            if (ar)
                reads.push_back({top->m_axi_arid, top->m_axi_araddr, top->m_axi_arlen + 1u, cycle + latency, OKAY});
            if (aw) writes.push_back({top->m_axi_awid, top->m_axi_awaddr, top->m_axi_awlen + 1u, 0, OKAY});
            if (top->probe_valid) observed.push_back(top->probe_data);
        }
        top->clk = 1;
        top->eval();
        cycle++;
    }

    void write_beat() {
        Burst& burst = writes.front();
        const uint8_t response = respond(burst.address);
        if (response > burst.response) burst.response = response;
        if (response == OKAY) {
            uint8_t data[WIDTH];
            std::memcpy(data, &top->m_axi_wdata, WIDTH);
            const uint64_t start = burst.address / WIDTH * WIDTH;
            uint64_t strobe = 0;
            std::memcpy(&strobe, &top->m_axi_wstrb, sizeof(top->m_axi_wstrb));
            for (uint64_t i = 0; i < WIDTH; i++)
                if (strobe >> i & 1 && start + i < memory_bytes) memory[start + i] = data[i];
        }
        burst.address = (burst.address / WIDTH + 1) * WIDTH;
        if (--burst.beats == 0) {
            burst.ready = cycle + latency;
            responses.push_back(burst);
            writes.pop_front();
        }
    }

    int write(uint32_t address, uint32_t value) {
        top->s_axil_awaddr = address;
        top->s_axil_awvalid = 1;
        top->s_axil_wdata = value;
        top->s_axil_wstrb = 15;
        top->s_axil_wvalid = 1;
        top->s_axil_bready = 1;
        for (uint64_t i = 0; i < HOST_PATIENCE; i++) {
            drive();
            top->clk = 0;
            top->eval();
            const bool aw = top->s_axil_awvalid && top->s_axil_awready, w = top->s_axil_wvalid && top->s_axil_wready;
            const bool b = top->s_axil_bvalid;
            const int response = top->s_axil_bresp;
            step();
            if (aw) top->s_axil_awvalid = 0;
            if (w) top->s_axil_wvalid = 0;
            if (b) {
                top->s_axil_bready = 0;
                return response;
            }
        }
        return -1;
    }

    int read(uint32_t address, uint32_t* value) {
        top->s_axil_araddr = address;
        top->s_axil_arvalid = 1;
        top->s_axil_rready = 1;
        for (uint64_t i = 0; i < HOST_PATIENCE; i++) {
            drive();
            top->clk = 0;
            top->eval();
            const bool ar = top->s_axil_arvalid && top->s_axil_arready;
            const bool r = top->s_axil_rvalid;
            const int response = top->s_axil_rresp;
            *value = top->s_axil_rdata;
            step();
            if (ar) top->s_axil_arvalid = 0;
            if (r) {
                top->s_axil_rready = 0;
                return response;
            }
        }
        return -1;
    }

    uint64_t run(uint64_t limit) {
        const uint64_t start = cycle;
        while (cycle - start < limit && !top->irq) step();
        return cycle - start;
    }
};

}  // namespace

extern "C" {

void* tepin_create(uint8_t* memory, uint64_t memory_bytes, uint64_t latency) {
    return new Simulation(memory, memory_bytes, latency);
}

void tepin_destroy(void* self) { delete static_cast<Simulation*>(self); }

// Register access over AXI4-Lite: the response code, or -1 if there was none.
int tepin_write(void* self, uint32_t address, uint32_t value) {
    return static_cast<Simulation*>(self)->write(address, value);
}

int tepin_read(void* self, uint32_t address, uint32_t* value) {
    return static_cast<Simulation*>(self)->read(address, value);
}

// Runs until the interrupt is high, at most `limit` cycles; returns the cycles run.
uint64_t tepin_run(void* self, uint64_t limit) { return static_cast<Simulation*>(self)->run(limit); }

uint64_t tepin_cycle(void* self) { return static_cast<Simulation*>(self)->cycle; }

// Words seen on the probe port since the last tepin_forget.
uint64_t tepin_observed(void* self, const uint32_t** words) {
    const auto& observed = static_cast<Simulation*>(self)->observed;
    *words = observed.data();
    return observed.size();
}

void tepin_forget(void* self) { static_cast<Simulation*>(self)->observed.clear(); }

// From now on, beats that touch [base, limit) are answered with SLVERR.
void tepin_fault(void* self, uint64_t base, uint64_t limit) {
    auto* simulation = static_cast<Simulation*>(self);
    simulation->fault_base = base;
    simulation->fault_limit = limit;
}

// From now on, every handshake of the memory is withheld in this share of the cycles.
void tepin_stall(void* self, uint32_t percent, uint32_t seed) {
    auto* simulation = static_cast<Simulation*>(self);
    simulation->stall_percent = percent;
    simulation->random.seed(seed);
}
}
