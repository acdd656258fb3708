// SPDX-License-Identifier: Apache-2.0
// Hands C++ what registers of the chip hold, in every cycle, before the clock edge.

module activity_recorder (
    input logic clk,
    input longint unsigned simulation
);
  import "DPI-C" function void tepin_activity_tick(
    input longint unsigned simulation,
    input bit [31:0] words[`ACTIVITY_WORDS]
  );
  bit [31:0] words[`ACTIVITY_WORDS];

  always @(posedge clk) begin
`include "activity_signals.svh"
    tepin_activity_tick(simulation, words);
  end
endmodule

bind harness activity_recorder recorder (
    .clk(clk),
    .simulation(simulation)
);
