// SPDX-License-Identifier: Apache-2.0
// What a traced chip has done: each command from its way into a queue to its end, waits of the sequencer, tokens, and the bytes
// on the memory port in windows of fixed length.

#pragma once

#include <cstdint>
#include <deque>
#include <vector>

constexpr uint64_t NEVER = UINT64_MAX;

// What tepin_host.simulation.trace reads: keep both alike.
struct TracedCommand {
    uint64_t issued = NEVER, read = NEVER, started = NEVER, ended = NEVER;  // cycles; `read`: when its last word was
    uint32_t engine, first_word, words;  // where its words are in Trace::words: queue header, flags, resolved fields
    uint32_t waited = 0;                 // cycles for its semaphore
};

struct TracedWait {
    uint64_t begin, end;
    uint32_t pc, reserved;
};

struct TracedWindow {
    uint32_t weights, loads, stores, addresses;  // beats; bursts of reads
};

class Trace {
public:
    static constexpr uint64_t WINDOW = 64;

    std::vector<TracedCommand> commands;
    std::vector<uint32_t> words;
    std::vector<TracedWait> waits;
    std::vector<uint64_t> tokens;
    std::vector<TracedWindow> windows;  // from the first traced cycle on
    uint64_t first_address = NEVER, last_response = NEVER;
    uint64_t start = NEVER;

    explicit Trace(int engines) : engines(engines) {}

    // A word on its way into the queue of an engine.
    void issue(uint64_t cycle, int number, uint32_t word) {
        Engine& engine = engines[number];
        if (engine.words_to_issue > 0) {
            engine.words_to_issue--;
        } else {
            TracedCommand command;
            command.engine = number;
            command.issued = cycle;
            command.first_word = command.words = 0;
            engine.queued.push_back(commands.size());
            engine.words_to_issue = length(word);
            commands.push_back(command);
        }
    }

    // A word that an engine takes.
    void word(uint64_t cycle, int number, uint32_t word) {
        Engine& engine = engines[number];
        if (engine.words_to_read > 0) {
            engine.words_to_read--;
        } else {
            if (engine.queued.empty()) return;
            engine.reading = engine.queued.front();
            engine.queued.pop_front();
            engine.words_to_read = length(word);
        }
        engine.words.push_back(word);  // apart from those of the other engines, until the command is complete
        if (engine.words_to_read == 0) {
            TracedCommand& command = commands[engine.reading];
            command.read = cycle;
            command.first_word = words.size();
            command.words = engine.words.size();
            words.insert(words.end(), engine.words.begin(), engine.words.end());
            engine.words.clear();
        }
    }

    void waiting(int number) { commands[engines[number].reading].waited++; }

    void started(uint64_t cycle, int number) {
        Engine& engine = engines[number];
        commands[engine.reading].started = cycle;
        engine.running.push_back(engine.reading);
    }

    void signalled(uint64_t cycle, int number) {
        Engine& engine = engines[number];
        if (engine.running.empty()) return;
        commands[engine.running.front()].ended = cycle;
        engine.running.pop_front();
    }

    // The commands of this engine are dropped.
    void flushed(int number) { engines[number] = Engine(); }

    void stalled(uint64_t cycle, bool stalled, uint32_t pc) {
        if (stalled && !was_stalled) waits.push_back({cycle, NEVER, pc, 0});
        if (!stalled && was_stalled) waits.back().end = cycle;
        was_stalled = stalled;
    }

    TracedWindow& window(uint64_t cycle) {
        const uint64_t number = (cycle - start) / WINDOW;
        if (number >= windows.size()) windows.resize(number + 1);
        return windows[number];
    }

private:
    struct Engine {
        std::deque<uint32_t> queued, running;
        std::vector<uint32_t> words;
        uint32_t reading = 0;
        int words_to_issue = 0, words_to_read = 0;
    };
    std::vector<Engine> engines;
    bool was_stalled = false;

    // Of the words behind a QueueHeader.
    static int length(uint32_t header) { return header >> 12 & 31; }
};
