// SPDX-License-Identifier: Apache-2.0
// The memory and the host around the compiled chip, behind a C interface for ctypes.
//
// The memory accepts an address per cycle and channel, delivers the first beat of a read burst LATENCY cycles after
// its address, one beat per cycle, bursts in order, and answers a write LATENCY cycles after its last beat. Reads and
// writes do not slow each other down. Beyond its end it answers DECERR; one range may be made to answer SLVERR.
//
// Chips with links can be joined: then they run together, cycle by cycle, whichever of them is told to run.
//
// With SDRAM, a controller and a model of the part take the place of that memory; they are in the wrapper. With TRACE, what goes on
// inside the chip is recorded.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "Vharness.h"
#include "Vharness__Dpi.h"
#include "links.h"
#include "verilated.h"
#ifdef SDRAM
#include "Vharness___024root.h"
#endif
#ifdef TRACE
#include "trace.h"
#endif

#ifndef LINKS
#define LINKS 0
#endif

namespace {

constexpr uint64_t WIDTH = PORT_BYTES;
constexpr uint64_t RESET_CYCLES = 4;
constexpr uint64_t HOST_PATIENCE = 10000;  // cycles until a register access counts as lost
#ifdef SDRAM
constexpr bool INNER_MEMORY = false;
#else
constexpr bool INNER_MEMORY = true;
#endif
constexpr uint8_t OKAY = 0, SLVERR = 2, DECERR = 3;

struct Burst {
    bool id;
    uint64_t address;
    uint32_t beats;
    uint64_t ready;  // cycle of the first beat, or of the response
    uint8_t response;
};

// The chip's outputs at a clock edge, and its inputs after it.
struct Outputs {
    bool irq, probe_valid, arvalid, arid, rready, awvalid, awid, wvalid, bready;
    bool host_awready, host_wready, host_bvalid, host_arready, host_rvalid;
    uint8_t arlen, awlen, host_bresp, host_rresp;
    uint32_t probe_data, araddr, awaddr, host_rdata;
    const svBitVecVal *wdata, *wstrb;
};

struct Inputs {
    bool rst = true, arready = false, rvalid = false, rid = false, rlast = false, awready = false, wready = false;
    bool bvalid = false, bid = false, host_awvalid = false, host_wvalid = false, host_arvalid = false;
    uint8_t rresp = 0, bresp = 0, rdata[WIDTH] = {};
    uint16_t host_address = 0;
    uint32_t host_wdata = 0;
};

struct Simulation;
using Group = std::vector<Simulation*>;

struct Simulation {
    VerilatedContext context;
    std::unique_ptr<Vharness> top;
    uint8_t* memory;
    uint64_t memory_bytes;
    uint64_t latency;
    uint64_t cycle = 0, reset_until = RESET_CYCLES;

    Inputs inputs;  // what the chip will see after the next edge
    Inputs seen;    // what it has seen since the last one
    bool irq = false;
    std::deque<Burst> reads, writes, responses;
    uint64_t fault_base = 0, fault_limit = 0;
    uint32_t stall_percent = 0;
    std::minstd_rand random;
    std::vector<uint32_t> observed;
    bool sdram_ready = false;
    uint32_t sdram_violations = 0;  // the first ones stop the clock
    uint64_t refreshes = 0;
#ifdef TRACE
    Trace trace{ENGINES};
#endif

    std::vector<Port> ports{LINKS};
    std::vector<LanePort> lanes{LINKS};
    std::shared_ptr<Group> group;  // all chips that run together, if this one is not alone

    bool host_done = true;
    int host_response = 0;
    uint32_t host_data = 0;

    Simulation(uint8_t* memory, uint64_t memory_bytes, uint64_t latency)
        : memory(memory), memory_bytes(memory_bytes), latency(latency) {
        top = std::make_unique<Vharness>(&context);
        top->clk = 0;
        top->simulation = reinterpret_cast<uint64_t>(this);
        top->eval();
        for (uint64_t i = 0; i < 2 * RESET_CYCLES; i++) step();
    }

    ~Simulation() {
        if (group) group->erase(std::find(group->begin(), group->end(), this));
    }

    // A cycle of this chip and of all that run together with it.
    void clock() {
        if (!group) return step();
        for (Simulation* chip : *group) chip->step();
    }

    void step() {
        top->clk = 1;
        top->eval();
        top->clk = 0;
        top->eval();
        cycle++;
    }

    bool stalled() { return stall_percent && random() % 100 < stall_percent; }

    uint8_t respond(uint64_t address) const {
        if (address / WIDTH * WIDTH >= memory_bytes) return DECERR;
        return address + WIDTH > fault_base && address < fault_limit ? SLVERR : OKAY;
    }

    // What happened at this clock edge, then what the chip sees until the next.
    void tick(const Outputs& outputs) {
        irq = outputs.irq;
        if (!seen.rst) transfer(outputs);
        drive();
        seen = inputs;
    }

    void transfer(const Outputs& outputs) {
        if (outputs.probe_valid) observed.push_back(outputs.probe_data);
        if (INNER_MEMORY) access(outputs);
        if (seen.host_awvalid && outputs.host_awready) inputs.host_awvalid = false;
        if (seen.host_wvalid && outputs.host_wready) inputs.host_wvalid = false;
        if (seen.host_arvalid && outputs.host_arready) inputs.host_arvalid = false;
        if (outputs.host_bvalid || outputs.host_rvalid) {
            host_done = true;
            host_response = outputs.host_bvalid ? outputs.host_bresp : outputs.host_rresp;
            host_data = outputs.host_rdata;
        }
    }

    // What has moved on the memory port.
    void access(const Outputs& outputs) {
        if (inputs.rvalid && outputs.rready) {
            Burst& burst = reads.front();
            burst.address = (burst.address / WIDTH + 1) * WIDTH;
            if (--burst.beats == 0) reads.pop_front();
            inputs.rvalid = false;
        }
        if (inputs.bvalid && outputs.bready) {
            responses.pop_front();
            inputs.bvalid = false;
        }
        if (inputs.wready && outputs.wvalid) write_beat(outputs.wdata, outputs.wstrb);
        if (inputs.arready && outputs.arvalid)
            reads.push_back({outputs.arid, outputs.araddr, outputs.arlen + 1u, cycle + latency, OKAY});
        if (inputs.awready && outputs.awvalid)
            writes.push_back({outputs.awid, outputs.awaddr, outputs.awlen + 1u, 0, OKAY});
    }

    void drive() {
        inputs.rst = cycle < reset_until;
        if (!INNER_MEMORY) return;
        inputs.arready = !stalled();
        inputs.awready = !stalled();
        inputs.wready = !writes.empty() && !stalled();
        // The edge that ends the latency is the next one.
        if (!inputs.rvalid && !reads.empty() && reads.front().ready <= cycle + 1 && !stalled()) {
            const Burst& burst = reads.front();
            inputs.rvalid = true;
            inputs.rid = burst.id;
            inputs.rlast = burst.beats == 1;
            inputs.rresp = respond(burst.address);
            const uint64_t start = burst.address / WIDTH * WIDTH;
            const uint64_t count =
                inputs.rresp != OKAY || start >= memory_bytes ? 0 : std::min(WIDTH, memory_bytes - start);
            std::memset(inputs.rdata, 0, WIDTH);
            std::memcpy(inputs.rdata, memory + start, count);
        }
        if (!inputs.bvalid && !responses.empty() && responses.front().ready <= cycle + 1) {
            inputs.bvalid = true;
            inputs.bid = responses.front().id;
            inputs.bresp = responses.front().response;
        }
    }

    void write_beat(const svBitVecVal* data, const svBitVecVal* strobe) {
        Burst& burst = writes.front();
        burst.response = std::max(burst.response, respond(burst.address));
        if (respond(burst.address) == OKAY) {
            const auto* bytes = reinterpret_cast<const uint8_t*>(data);
            const uint64_t start = burst.address / WIDTH * WIDTH;
            for (uint64_t i = 0; i < WIDTH && start + i < memory_bytes; i++)
                if (strobe[i / 32] >> i % 32 & 1) memory[start + i] = bytes[i];
        }
        burst.address = (burst.address / WIDTH + 1) * WIDTH;
        if (--burst.beats == 0) {
            burst.ready = cycle + latency;
            responses.push_back(burst);
            writes.pop_front();
        }
    }

    // Of the chip and of the memory's port, from the next edge on; what the memory holds stays.
    void reset() {
        reset_until = cycle + RESET_CYCLES;
        reads.clear();
        writes.clear();
        responses.clear();
        inputs = Inputs();
        for (uint64_t i = 0; i < 2 * RESET_CYCLES; i++) clock();
    }

    int wait_for_host() {
        host_done = false;
        for (uint64_t i = 0; i < HOST_PATIENCE && !host_done; i++) clock();
        return host_done ? host_response : -1;
    }

    int write(uint32_t address, uint32_t value) {
        inputs.host_awvalid = inputs.host_wvalid = true;
        inputs.host_address = address;
        inputs.host_wdata = value;
        return wait_for_host();
    }

    int read(uint32_t address, uint32_t* value) {
        inputs.host_arvalid = true;
        inputs.host_address = address;
        const int response = wait_for_host();
        *value = host_data;
        return response;
    }

    uint64_t run(uint64_t limit) {
        const uint64_t start = cycle;
        // The interrupt as it was at the last edge is stale after a register access: look at a fresh one.
        do clock();
        while (cycle - start < limit && !irq && !sdram_violations);
        return cycle - start;
    }
};

}  // namespace

extern "C" {

void tepin_tick(unsigned long long simulation, svBit irq, svBit probe_valid, const svBitVecVal* probe_data,
                svBit arvalid, svBit arid, const svBitVecVal* araddr, const svBitVecVal* arlen, svBit rready,
                svBit awvalid, svBit awid, const svBitVecVal* awaddr, const svBitVecVal* awlen, svBit wvalid,
                const svBitVecVal* wdata, const svBitVecVal* wstrb, svBit bready, svBit host_awready,
                svBit host_wready, svBit host_bvalid, const svBitVecVal* host_bresp, svBit host_arready,
                svBit host_rvalid, const svBitVecVal* host_rdata, const svBitVecVal* host_rresp, svBit* next_rst,
                svBit* next_arready, svBit* next_rvalid, svBit* next_rid, svBitVecVal* next_rdata,
                svBitVecVal* next_rresp, svBit* next_rlast, svBit* next_awready, svBit* next_wready,
                svBit* next_bvalid, svBit* next_bid, svBitVecVal* next_bresp, svBit* next_host_awvalid,
                svBit* next_host_wvalid, svBit* next_host_arvalid, svBitVecVal* next_host_address,
                svBitVecVal* next_host_wdata) {
    auto* self = reinterpret_cast<Simulation*>(simulation);
    Outputs outputs;
    outputs.irq = irq;
    outputs.probe_valid = probe_valid;
    outputs.probe_data = *probe_data;
    outputs.arvalid = arvalid;
    outputs.arid = arid;
    outputs.araddr = *araddr;
    outputs.arlen = *arlen;
    outputs.rready = rready;
    outputs.awvalid = awvalid;
    outputs.awid = awid;
    outputs.awaddr = *awaddr;
    outputs.awlen = *awlen;
    outputs.wvalid = wvalid;
    outputs.wdata = wdata;
    outputs.wstrb = wstrb;
    outputs.bready = bready;
    outputs.host_awready = host_awready;
    outputs.host_wready = host_wready;
    outputs.host_bvalid = host_bvalid;
    outputs.host_bresp = *host_bresp;
    outputs.host_arready = host_arready;
    outputs.host_rvalid = host_rvalid;
    outputs.host_rdata = *host_rdata;
    outputs.host_rresp = *host_rresp;
    self->tick(outputs);
    const Inputs& inputs = self->inputs;
    *next_rst = inputs.rst;
    *next_arready = inputs.arready;
    *next_rvalid = inputs.rvalid;
    *next_rid = inputs.rid;
    next_rdata[(WIDTH - 1) / 4] = 0;
    std::memcpy(next_rdata, inputs.rdata, WIDTH);
    *next_rresp = inputs.rresp;
    *next_rlast = inputs.rlast;
    *next_awready = inputs.awready;
    *next_wready = inputs.wready;
    *next_bvalid = inputs.bvalid;
    *next_bid = inputs.bid;
    *next_bresp = inputs.bresp;
    *next_host_awvalid = inputs.host_awvalid;
    *next_host_wvalid = inputs.host_wvalid;
    *next_host_arvalid = inputs.host_arvalid;
    *next_host_address = inputs.host_address;
    *next_host_wdata = inputs.host_wdata;
}

#ifdef SDRAM
void tepin_sdram_tick(unsigned long long simulation, svBit ready, svBit refresh, const svBitVecVal* violations) {
    auto* self = reinterpret_cast<Simulation*>(simulation);
    if (self->cycle < RESET_CYCLES) return;
    self->sdram_ready = ready;
    self->refreshes += refresh;
    self->sdram_violations |= *violations;
}

// The SDRAM's words, which may be changed between runs.
void* tepin_sdram_memory(void* self) {
    return &static_cast<Simulation*>(self)->top->rootp->harness__DOT__memory__DOT__sdram__DOT__memory[0];
}

// Runs until the SDRAM is ready; returns whether it is.
int tepin_sdram_start(void* self, uint64_t limit) {
    auto* simulation = static_cast<Simulation*>(self);
    for (uint64_t i = 0; i < limit && !simulation->sdram_ready; i++) simulation->clock();
    return simulation->sdram_ready;
}

// REFRESH commands since power-up.
uint64_t tepin_sdram_refreshes(void* self) { return static_cast<Simulation*>(self)->refreshes; }

// Bits of what the SDRAM has objected to; the first one stops `run`.
uint32_t tepin_sdram_violations(void* self) { return static_cast<Simulation*>(self)->sdram_violations; }
#endif

#ifdef TRACE
void tepin_trace_tick(unsigned long long simulation, svBit issued, const svBitVecVal* issue, const svBitVecVal* words,
                      const svBitVecVal* word, const svBitVecVal* started, const svBitVecVal* waits,
                      const svBitVecVal* granted, const svBitVecVal* signalled, svBit flush, svBit stalled,
                      const svBitVecVal* pc, svBit token, svBit running, const svBitVecVal* beats) {
    auto* self = reinterpret_cast<Simulation*>(simulation);
    Trace& trace = self->trace;
    const uint64_t cycle = self->cycle;
    if (cycle < RESET_CYCLES) return;
    if (trace.start == NEVER) {
        if (!running) return;
        trace.start = cycle;
    }
    if (issued) trace.issue(cycle, issue[1] & 15, issue[0]);
    for (int engine = 0; engine < ENGINES; engine++) {
        if (*started >> engine & 1) trace.started(cycle, engine);
        if (*words >> engine & 1) trace.word(cycle, engine, word[engine]);
        if (*waits >> engine & ~*granted >> engine & 1) trace.waiting(engine);
        if (*signalled >> engine & 1) trace.signalled(cycle, engine);
    }
    if (flush) trace.flushed(0);
    trace.stalled(cycle, running && stalled, *pc);
    if (token) trace.tokens.push_back(cycle);
    if (!*beats) return;
    const bool address = *beats >> 4 & 1, read = *beats >> 3 & 1, weights = *beats >> 2 & 1;
    const bool written = *beats >> 1 & 1, response = *beats & 1;
    if (address && trace.first_address == NEVER) trace.first_address = cycle;
    if (response) trace.last_response = cycle;
    TracedWindow& window = trace.window(cycle);
    window.weights += read && weights;
    window.loads += read && !weights;
    window.stores += written;
    window.addresses += address;
}

// Everything recorded: pointers and counts of commands, words, waits, tokens, windows; then the cycle of the start, of the first
// read address and of the last write response.
void tepin_trace(void* self, const void** arrays, uint64_t* counts, uint64_t* cycles) {
    const Trace& trace = static_cast<Simulation*>(self)->trace;
    const auto show = [&](int number, const auto& vector) {
        arrays[number] = vector.data();
        counts[number] = vector.size();
    };
    show(0, trace.commands);
    show(1, trace.words);
    show(2, trace.waits);
    show(3, trace.tokens);
    show(4, trace.windows);
    cycles[0] = trace.start;
    cycles[1] = trace.first_address;
    cycles[2] = trace.last_response;
}
#endif

#if LINKS && defined(SERIAL)
void tepin_lane_tick(unsigned long long simulation, const svBitVecVal* tx_data, const svBitVecVal* tx_strobe,
                     const svBitVecVal* status, svBitVecVal* next_rx_data, svBitVecVal* next_rx_strobe) {
    auto* self = reinterpret_cast<Simulation*>(simulation);
    const auto* sent = reinterpret_cast<const uint16_t*>(tx_data);
    const auto* counters = reinterpret_cast<const uint16_t*>(status);
    uint16_t received[LINKS];
    *next_rx_strobe = 0;
    next_rx_data[(LINKS - 1) / 2] = 0;
    for (int i = 0; i < LINKS; i++) {
        LanePort& port = self->lanes[i];
        bool strobe = false;
        received[i] = 0;
        if (port.tx) {
            port.tx->push(self->cycle, sent[i], *tx_strobe >> i & 1);
            port.rx->front(self->cycle + 1, received[i], strobe);
        }
        *next_rx_strobe |= strobe << i;
        port.errors = counters[3 * i];
        port.replays = counters[3 * i + 1];
        port.retrains = counters[3 * i + 2];
    }
    std::memcpy(next_rx_data, received, sizeof(received));
}
#elif LINKS
void tepin_link_tick(unsigned long long simulation, const svBitVecVal* o_valid, const svBitVecVal* o_payload,
                     const svBitVecVal* i_ready, svBitVecVal* next_o_ready, svBitVecVal* next_i_valid,
                     svBitVecVal* next_i_payload) {
    auto* self = reinterpret_cast<Simulation*>(simulation);
    uint64_t payloads[LINKS];
    std::memcpy(payloads, o_payload, sizeof(payloads));
    *next_o_ready = *next_i_valid = 0;
    for (int i = 0; i < LINKS; i++) {
        Port& port = self->ports[i];
        port.tick(self->cycle, *o_valid >> i & 1, payloads[i], *i_ready >> i & 1);
        *next_o_ready |= port.o_ready << i;
        *next_i_valid |= port.i_valid << i;
        payloads[i] = port.i_payload;
    }
    std::memcpy(next_i_payload, payloads, sizeof(payloads));
}
#endif

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

void tepin_reset(void* self) { static_cast<Simulation*>(self)->reset(); }

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

// From now on, the chips run together. They have run for the same number of cycles.
void tepin_join(void** chips, uint64_t count) {
    auto group = std::make_shared<Group>();
    for (uint64_t i = 0; i < count; i++) {
        group->push_back(static_cast<Simulation*>(chips[i]));
        group->back()->group = group;
    }
}

// Links two ports of chips that are joined.
void tepin_link(void* one, uint32_t one_port, void* other, uint32_t other_port, uint64_t latency, uint64_t capacity) {
    Port& a = static_cast<Simulation*>(one)->ports.at(one_port);
    Port& b = static_cast<Simulation*>(other)->ports.at(other_port);
    a.out = b.in = std::make_shared<Channel>(latency, capacity);
    a.in = b.out = std::make_shared<Channel>(latency, capacity);
}

// The same for chips with serial links: connects their lanes.
void tepin_wire(void* one, uint32_t one_port, void* other, uint32_t other_port, double bit_error_rate, uint64_t seed) {
    LanePort& a = static_cast<Simulation*>(one)->lanes.at(one_port);
    LanePort& b = static_cast<Simulation*>(other)->lanes.at(other_port);
    a.tx = b.rx = std::make_shared<Lanes>(bit_error_rate, 2 * seed);
    a.rx = b.tx = std::make_shared<Lanes>(bit_error_rate, 2 * seed + 1);
}

// Of a serial link: bits flipped on the way to it, wrong frames, replays, retrainings.
void tepin_link_status(void* self, uint32_t number, uint64_t* counts) {
    const LanePort& port = static_cast<Simulation*>(self)->lanes.at(number);
    counts[0] = port.rx->flipped;
    counts[1] = port.errors;
    counts[2] = port.replays;
    counts[3] = port.retrains;
}

// Nothing gets through the link of this port any more.
void tepin_cut(void* self, uint32_t number) {
    Port& port = static_cast<Simulation*>(self)->ports.at(number);
    if (port.out) port.out->cut = port.in->cut = true;
    LanePort& lanes = static_cast<Simulation*>(self)->lanes.at(number);
    if (lanes.tx) lanes.tx->cut = lanes.rx->cut = true;
}

// From now on, every handshake of the memory is withheld in this share of the cycles.
void tepin_stall(void* self, uint32_t percent, uint32_t seed) {
    auto* simulation = static_cast<Simulation*>(self);
    simulation->stall_percent = percent;
    simulation->random.seed(seed);
}
}
