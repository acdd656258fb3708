// SPDX-License-Identifier: Apache-2.0
// Two sides of a link and the lines between them, behind a C interface for ctypes.
//
// A line knows lanes and bits, and nothing of frames. Word n of a direction is a function of n, so a check needs no memory of
// what was sent, and any word that is lost, repeated, changed or out of order is found at once.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>

#include "Vlink_side.h"
#include "verilated.h"

namespace {

constexpr int RESET_CYCLES = 4;
constexpr uint64_t NEVER = std::numeric_limits<uint64_t>::max();

struct Random {
    uint64_t state;
    uint64_t next() {  // splitmix64
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
    }
    double uniform() { return double(next() >> 11) * 0x1p-53; }
    uint64_t below(uint64_t limit) { return next() % limit; }
    bool chance(double probability) { return uniform() < probability; }
    // How many times nothing happens before something of this probability does.
    uint64_t gap(double probability) {
        if (probability <= 0) return NEVER;
        const double gap = std::log1p(-uniform()) / std::log1p(-probability);
        return gap < 1e18 ? uint64_t(gap) : NEVER;
    }
};

}  // namespace

extern "C" {

// What a line does to bits. Intervals are means, in beats; 0 for never.
struct LineSettings {
    double bit_error_rate;
    double burst_interval, stuck_interval, slip_interval, pull_interval;
    uint32_t burst_beats;   // in which every bit of every lane is random
    uint32_t stuck_beats;   // in which a lane keeps one level
    uint32_t pull_beats;    // without the cable
    uint32_t delay;         // of the line, in beats
    uint8_t skew[8];        // further delay of each lane, in bits
    uint8_t source[8];      // which lane of the sender this one is connected to
    uint8_t inverted[8];
};

// What a source sends.
enum Payload { RANDOM = 0, IDLES = 1, FRAMES = 2 };

struct TrafficSettings {
    uint64_t words;
    double source_pause, sink_pause;  // probability of a pause, in each cycle
    uint32_t spacing;                 // words come at least so many cycles apart, and up to twice as many; 0: as quickly as they can
    uint32_t payload;
};

struct DirectionResult {
    uint64_t sent, received, wrong;
    uint64_t cycles;  // from the first word in to the last one out
    uint64_t flipped, bursts, stuck, slips, pulls;
    uint64_t latency_min, latency_max, latency_sum;
};

struct SideResult {
    uint32_t up, broken, errors, replays, retrains;
};
}

namespace {

class Line {
  public:
    Line(int lanes, uint64_t seed) : lanes_(lanes), random_{seed} { set(LineSettings{}); }

    void set(const LineSettings& settings) {
        settings_ = settings;
        auto interval = [&](double mean) { return random_.gap(mean > 0 ? 1 / mean : 0); };
        error_ = random_.gap(settings.bit_error_rate);
        burst_ = interval(settings.burst_interval);
        stuck_ = interval(settings.stuck_interval);
        slip_ = interval(settings.slip_interval);
        pull_ = interval(settings.pull_interval);
    }

    // A beat goes in, and another one comes out; false if none does.
    bool beat(uint32_t in, uint32_t& out, DirectionResult& counts) {
        for (int half = 0; half < 2; half++) {
            place_ = (place_ + 1) % HISTORY;
            history_[place_] = in >> (half * lanes_);
        }
        if (due(slip_, settings_.slip_interval)) {
            // An edge of the clock that is lost, or one too many.
            slipped_ += random_.chance(0.5) ? 1 : -1;
            slipped_ = std::clamp(slipped_, -SLIPS, SLIPS);
            counts.slips++;
        }
        const int spare = settings_.slip_interval > 0 ? SLIPS : 0;
        out = 0;
        for (int half = 0; half < 2; half++) {
            for (int lane = 0; lane < lanes_; lane++) {
                const int back = 1 - half + spare + slipped_ + 2 * settings_.delay + settings_.skew[lane];
                const uint32_t levels = history_[(place_ + HISTORY - back) % HISTORY];
                uint32_t level = levels >> settings_.source[lane] & 1;
                level ^= settings_.inverted[lane];
                out |= level << (half * lanes_ + lane);
            }
        }
        if (due(burst_, settings_.burst_interval)) {
            burst_left_ = settings_.burst_beats;
            counts.bursts++;
        }
        if (burst_left_ > 0) {
            burst_left_--;
            out = random_.next() & ((1u << 2 * lanes_) - 1);
        }
        if (due(stuck_, settings_.stuck_interval)) {
            stuck_left_ = settings_.stuck_beats;
            stuck_lane_ = random_.below(lanes_);
            stuck_level_ = random_.chance(0.5);
            counts.stuck++;
        }
        if (stuck_left_ > 0) {
            stuck_left_--;
            const uint32_t mask = (1u | 1u << lanes_) << stuck_lane_;
            out = stuck_level_ ? out | mask : out & ~mask;
        }
        const uint64_t bits = 2 * lanes_;
        while (error_ < bits) {
            out ^= 1u << error_;
            counts.flipped++;
            const uint64_t gap = random_.gap(settings_.bit_error_rate);
            error_ = gap == NEVER ? NEVER : error_ + 1 + gap;
        }
        if (error_ != NEVER) error_ -= bits;
        if (due(pull_, settings_.pull_interval)) {
            pull_left_ = settings_.pull_beats;
            pull_silent_ = random_.chance(0.5);
            counts.pulls++;
        }
        if (pull_left_ > 0) {
            pull_left_--;
            // With the cable the clock is gone, or the open pins pick up noise.
            out = random_.next() & ((1u << 2 * lanes_) - 1);
            return !pull_silent_;
        }
        return true;
    }

  private:
    static constexpr int HISTORY = 1024;
    static constexpr int SLIPS = 16;  // net, in either direction

    bool due(uint64_t& left, double mean) {
        if (left == NEVER) return false;
        if (left-- > 0) return false;
        left = random_.gap(1 / mean);
        return true;
    }

    int lanes_;
    Random random_;
    LineSettings settings_{};
    std::array<uint32_t, HISTORY> history_{};
    int place_ = 0, slipped_ = 0;
    uint64_t error_ = NEVER, burst_ = NEVER, stuck_ = NEVER, slip_ = NEVER, pull_ = NEVER;
    uint32_t burst_left_ = 0, stuck_left_ = 0, pull_left_ = 0;
    int stuck_lane_ = 0;
    bool stuck_level_ = false, pull_silent_ = false;
};

uint32_t crc32(const uint16_t* units, int count) {
    uint32_t crc = ~0u;
    for (int index = 0; index < count; index++) {
        crc ^= units[index];
        for (int bit = 0; bit < 16; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

constexpr uint16_t header(unsigned number, unsigned detail, unsigned control) {
    const unsigned second = detail | control << 5;
    return number | second << 8 | __builtin_parity(number) << 14 | __builtin_parity(second) << 15;
}

// Words that a receiver might take for something else, but for every eighth one, which is like no other.
uint64_t awkward_word(Payload payload, uint64_t number, uint64_t noise) {
    const uint16_t idle = header(0x5a, 0x1c, 1);
    const uint64_t idles = idle * 0x0001000100010001u;
    if (number % 8 == 7) return noise;
    if (payload == IDLES || number % 4 == 3) return idles;
    // In three words idle units and a frame of one word, right in every respect but the nonce.
    uint16_t units[12] = {idle, idle, idle, idle, header((number >> 2) * 5, 0, 0), 0xdead, 0xdead, 0xdead, 0xdead};
    const uint32_t crc = crc32(units + 4, 5);
    units[9] = crc;
    units[10] = crc >> 16;
    units[11] = idle;
    uint64_t word = 0;
    for (int index = 0; index < 4; index++) word |= uint64_t(units[number % 4 * 4 + index]) << 16 * index;
    return word;
}

struct Simulation {
    VerilatedContext context;
    std::unique_ptr<Vlink_side> sides[2];
    // Direction d is from side d to side 1 - d.
    Line lines[2];
    TrafficSettings traffic[2]{};
    DirectionResult results[2]{};
    std::deque<uint64_t> accepted[2];  // when
    uint64_t next_word[2]{};
    uint64_t seed;
    Random random;
    uint64_t cycle = 0;
    bool in_reset[2] = {true, true}, hold_reset[2] = {false, false};
    bool seen[2] = {false, false};  // the word that is offered has been offered before

    Simulation(int lanes, uint64_t seed)
        : lines{{lanes, seed * 4 + 1}, {lanes, seed * 4 + 2}}, seed(seed), random{seed * 4 + 3} {
        for (auto& side : sides) {
            side = std::make_unique<Vlink_side>(&context);
            side->clk = 0;
            side->rst = 1;
            side->i_valid = side->o_ready = side->rx_valid = 0;
            side->rx_data = 0;
            side->eval();
        }
        for (auto& result : results) result.latency_min = NEVER;
    }

    uint64_t word(int direction, uint64_t number) const {
        const uint64_t noise = Random{seed + direction * 0x5851f42d4c957f2du + number * 0x2545f4914f6cdd1du}.next();
        const auto payload = Payload(traffic[direction].payload);
        return payload == RANDOM ? noise : awkward_word(payload, number, noise);
    }

    bool done(int direction) const {
        return results[direction].sent == traffic[direction].words &&
               results[direction].received >= results[direction].sent;
    }

    void step() {
        // Just before the edge: what moves with it.
        uint32_t lines_out[2];
        bool lines_valid[2], moved[2] = {false, false};
        for (int direction = 0; direction < 2; direction++) {
            auto& result = results[direction];
            auto& from = *sides[direction];
            auto& to = *sides[1 - direction];
            if (from.i_valid && from.i_ready && !in_reset[direction]) {
                accepted[direction].push_back(cycle);
                result.sent++;
                moved[direction] = true;
                const uint32_t spacing = traffic[direction].spacing;
                next_word[direction] = spacing ? cycle + spacing + random.below(spacing) : 0;
            }
            if (to.o_valid && !in_reset[1 - direction]) offered(direction, to);
            lines_valid[direction] =
                from.tx_valid && lines[direction].beat(from.tx_data, lines_out[direction], result);
            if (!done(direction) && result.sent) result.cycles++;
        }
        for (auto& side : sides) {
            side->clk = 1;
            side->eval();
        }
        // Just after the edge: new inputs.
        for (int direction = 0; direction < 2; direction++) {
            auto& from = *sides[direction];
            auto& to = *sides[1 - direction];
            const auto& settings = traffic[direction];
            from.rst = cycle < RESET_CYCLES || hold_reset[direction];
            in_reset[direction] = from.rst;
            if (moved[direction]) from.i_valid = 0;
            if (!from.i_valid && results[direction].sent < settings.words && cycle >= next_word[direction] &&
                !random.chance(settings.source_pause)) {
                from.i_valid = 1;
                from.i_payload = word(direction, results[direction].sent);
            }
            to.o_ready = !random.chance(settings.sink_pause);
            to.rx_data = lines_valid[direction] ? lines_out[direction] : 0;
            to.rx_valid = lines_valid[direction];
        }
        for (auto& side : sides) {
            side->clk = 0;
            side->eval();
        }
        cycle++;
    }

    void offered(int direction, Vlink_side& to) {
        auto& result = results[direction];
        if (!seen[direction] && !accepted[direction].empty()) {
            const uint64_t latency = cycle - accepted[direction].front();
            result.latency_min = std::min(result.latency_min, latency);
            result.latency_max = std::max(result.latency_max, latency);
            result.latency_sum += latency;
        }
        seen[direction] = !to.o_ready;
        if (!to.o_ready) return;
        if (result.received >= result.sent || to.o_payload != word(direction, result.received)) result.wrong++;
        if (!accepted[direction].empty()) accepted[direction].pop_front();
        result.received++;
    }

    uint64_t run(uint64_t cycles) {
        const uint64_t start = cycle;
        while (cycle - start < cycles && !(done(0) && done(1)) && !results[0].wrong && !results[1].wrong) step();
        return cycle - start;
    }
};

}  // namespace

extern "C" {

void* tepin_link_create(uint32_t lanes, uint64_t seed) { return new Simulation(lanes, seed); }

void tepin_link_destroy(void* self) { delete static_cast<Simulation*>(self); }

void tepin_link_line(void* self, uint32_t direction, const LineSettings* settings) {
    static_cast<Simulation*>(self)->lines[direction].set(*settings);
}

// More words to send, on top of what was sent before.
void tepin_link_traffic(void* self, uint32_t direction, const TrafficSettings* settings) {
    auto* simulation = static_cast<Simulation*>(self);
    const uint64_t before = simulation->traffic[direction].words;
    simulation->traffic[direction] = *settings;
    simulation->traffic[direction].words += before;
}

void tepin_link_reset(void* self, uint32_t side, uint32_t level) {
    static_cast<Simulation*>(self)->hold_reset[side] = level;
}

// So many cycles, or until all words have arrived, or a wrong one has; returns the cycles.
uint64_t tepin_link_run(void* self, uint64_t cycles) { return static_cast<Simulation*>(self)->run(cycles); }

// So many cycles, whatever happens.
void tepin_link_wait(void* self, uint64_t cycles) {
    for (uint64_t cycle = 0; cycle < cycles; cycle++) static_cast<Simulation*>(self)->step();
}

void tepin_link_result(void* self, uint32_t direction, DirectionResult* result) {
    *result = static_cast<Simulation*>(self)->results[direction];
}

void tepin_link_side(void* self, uint32_t side, SideResult* result) {
    const auto& top = *static_cast<Simulation*>(self)->sides[side];
    *result = {top.up, top.broken, top.errors, top.replays, top.retrains};
}
}
