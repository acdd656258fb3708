// SPDX-License-Identifier: Apache-2.0
// The harness of the compiled simulation, which also keeps what registers hold in every cycle, while asked to.

#include "harness.cpp"

#include <map>

namespace {

struct Recording {
    bool on = false;
    std::vector<uint32_t> words;  // ACTIVITY_WORDS of each cycle
};

std::map<uint64_t, Recording> recordings;

}  // namespace

extern "C" {

void tepin_activity_tick(unsigned long long simulation, const svBitVecVal* words) {
    Recording& recording = recordings[simulation];
    if (recording.on) recording.words.insert(recording.words.end(), words, words + ACTIVITY_WORDS);
}

void tepin_activity_record(void* self, int on) { recordings[reinterpret_cast<uint64_t>(self)].on = on; }

// All that has been recorded since the last tepin_activity_forget; returns the number of words.
uint64_t tepin_activity(void* self, const uint32_t** words) {
    const auto& kept = recordings[reinterpret_cast<uint64_t>(self)].words;
    *words = kept.data();
    return kept.size();
}

void tepin_activity_forget(void* self) { recordings.erase(reinterpret_cast<uint64_t>(self)); }
}
