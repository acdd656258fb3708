// SPDX-License-Identifier: Apache-2.0
// Sends operands through a compiled pipeline, behind a C interface for ctypes. One pipeline at a time.

#include <cstdint>
#include <memory>

#include "Vpipeline_harness.h"
#include "Vpipeline_harness__Dpi.h"
#include "verilated.h"

namespace {

const uint32_t *operands;
uint32_t *results;
uint64_t count, sent, received;
uint32_t noise;

}  // namespace

extern "C" void pipeline_step(svBit o_valid, const svBitVecVal *o, svBit *next_valid, svBitVecVal *next) {
  if (o_valid && received < count) {
    for (int word = 0; word < O_WORDS; word++) results[received * O_WORDS + word] = o[word];
    received++;
  }
  // Marsaglia's xorshift: in one of eight cycles there is nothing but noise.
  noise ^= noise << 13, noise ^= noise >> 17, noise ^= noise << 5;
  bool valid = sent < count && noise % 8;
  for (int word = 0; word < I_WORDS; word++) next[word] = valid ? operands[sent * I_WORDS + word] : noise * (word + 1);
  sent += valid;
  *next_valid = valid;
}

// Results of `number` operands, in order. Returns how many came within `most_cycles`.
extern "C" uint64_t pipeline_run(const uint32_t *in, uint32_t *out, uint64_t number, uint64_t most_cycles) {
  operands = in, results = out, count = number, sent = received = 0, noise = 2463534242u;
  auto context = std::make_unique<VerilatedContext>();
  auto top = std::make_unique<Vpipeline_harness>(context.get());
  for (uint64_t cycle = 0; cycle < most_cycles && received < count; cycle++) {
    top->clk = 1;
    top->eval();
    top->clk = 0;
    top->eval();
  }
  top->final();
  return received;
}
