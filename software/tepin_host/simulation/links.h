// SPDX-License-Identifier: Apache-2.0
// Links between simulated chips: words move from a port to another one a fixed number of cycles later, against credits that
// take as long to come back. Or lanes, if the chips have serial links of their own: beats, some bits of which are flipped.
// What happens does not depend on the order in which the chips of a cycle are simulated.

#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <vector>

// One direction of a link.
class Channel {
public:
    // `latency` cycles, at least 2, from a word's move into the channel to the first in which it can move out of it;
    // `capacity` words are under way or waiting at most.
    Channel(uint64_t latency, uint64_t capacity) : latency(latency), capacity(capacity) {}

    bool cut = false;  // nothing gets in or out any more

    void push(uint64_t cycle, uint64_t word) {
        words.push_back({cycle + latency, word});
        used++;
    }

    void pop(uint64_t cycle) {
        words.pop_front();
        credits.push_back(cycle + latency);
    }

    // Whether a word may move in at the edge that ends `cycle`.
    bool ready(uint64_t cycle) {
        while (!credits.empty() && credits.front() <= cycle) {
            credits.pop_front();
            used--;
        }
        return !cut && used < capacity;
    }

    // Whether a word may move out at that edge; then `front` is it.
    bool valid(uint64_t cycle) const { return !cut && !words.empty() && words.front().arrival <= cycle; }

    uint64_t front() const { return words.front().word; }

private:
    struct Word {
        uint64_t arrival, word;
    };
    uint64_t latency, capacity, used = 0;
    std::deque<Word> words;
    std::deque<uint64_t> credits;  // when they are back
};

// A chip's end of a link.
struct Port {
    std::shared_ptr<Channel> out, in;
    bool o_ready = false, i_valid = false;  // as the chip has seen them since the last edge
    uint64_t i_payload = 0;

    // What happened at the edge that ends `cycle`, then what the chip sees until the next one.
    void tick(uint64_t cycle, bool o_valid, uint64_t o_payload, bool i_ready) {
        if (o_ready && o_valid) out->push(cycle, o_payload);
        if (i_valid && i_ready) {
            in->pop(cycle);
            i_valid = false;
        }
        o_ready = out && out->ready(cycle + 1);
        if (!i_valid && in && in->valid(cycle + 1)) {
            i_valid = true;
            i_payload = in->front();
        }
    }
};

// One direction of the lanes between two serial links: a beat per cycle, `DELAY` cycles later at the other end.
class Lanes {
public:
    static constexpr uint64_t DELAY = 4;

    Lanes(double bit_error_rate, uint64_t seed) : rate(bit_error_rate), random(seed) { draw(); }

    bool cut = false;  // the clock of the line is gone

    void push(uint64_t cycle, uint16_t data, bool strobe) {
        for (; left < BITS; draw()) {
            data ^= 1u << left;
            flipped++;
        }
        left -= BITS;
        beats[(cycle + DELAY) % beats.size()] = {data, strobe && !cut};
    }

    // The beat that is on the receiver's pins in `cycle`.
    void front(uint64_t cycle, uint16_t& data, bool& strobe) const {
        data = beats[cycle % beats.size()].data;
        strobe = beats[cycle % beats.size()].strobe;
    }

    uint64_t flipped = 0;  // bits so far

private:
    static constexpr int64_t BITS = 16;
    struct Beat {
        uint16_t data = 0;
        bool strobe = false;
    };
    std::array<Beat, 2 * DELAY> beats{};
    double rate;
    std::mt19937_64 random;
    int64_t left = -1;  // bits until one is flipped

    void draw() {
        const double gap = std::log1p(-std::uniform_real_distribution<>()(random)) / std::log1p(-rate);
        left += 1 + (rate > 0 && gap < 1e15 ? int64_t(gap) : int64_t(1e15));
    }
};

// A chip's end of two such directions, and what its serial link says of them.
struct LanePort {
    std::shared_ptr<Lanes> tx, rx;
    uint32_t errors = 0, replays = 0, retrains = 0;
};
