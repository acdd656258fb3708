// SPDX-License-Identifier: Apache-2.0
// A board between the system's pins: SDRAM and serial line. At every clock edge `tepin_board_tick` sees what changes on the line. The
// parameters are those of the pins; what is included has all of the SDRAM's.
//
// The clock of the SDRAM is that of the system: both sides sample a cycle after they have driven. What the phase of the pins' clock
// and the traces do to that is the board's timing, not its function.

module board #(
    parameter DATA_WIDTH = 16,
    parameter BANK_BITS = 2,
    parameter ADDRESS_WIDTH = 13
) (
    input logic clk,
    input longint unsigned simulation,
    // Pins that are held low: of the SDRAM's data on their way to the system, of its addresses on their way from there.
    input logic [DATA_WIDTH-1:0] data_low,
    input logic [ADDRESS_WIDTH-1:0] address_low,
    output logic [7:0] leds
);
  import "DPI-C" function void tepin_board_tick(
    input longint unsigned simulation,
    input bit tx,
    input bit probe_valid,
    input bit [31:0] probe_data,
    input bit [31:0] violations,
    output bit next_rst,
    output bit next_rx
  );

  bit rst = 1, rx = 1;
  bit next_rst, next_rx;
  logic tx;
  logic [19:0] violations;
  logic cke, cs_n, ras_n, cas_n, we_n, dq_oe;
  logic [BANK_BITS-1:0] ba;
  logic [ADDRESS_WIDTH-1:0] a;
  logic [DATA_WIDTH/8-1:0] dqm;
  logic [DATA_WIDTH-1:0] dq_o, dq_i;

  always @(posedge clk) begin
    // The system has no pins for what simulations observe, so this looks inside.
    tepin_board_tick(simulation, tx, system.chip.probe_valid, system.chip.probe_data, 32'(violations), next_rst, next_rx);
    rst <= next_rst;
    rx <= next_rx;
  end

  tepin_system system (
      .clk(clk),
      .rst(rst),
      .sdram__cke(cke),
      .sdram__cs_n(cs_n),
      .sdram__ras_n(ras_n),
      .sdram__cas_n(cas_n),
      .sdram__we_n(we_n),
      .sdram__ba(ba),
      .sdram__a(a),
      .sdram__dqm(dqm),
      .sdram__dq_o(dq_o),
      .sdram__dq_oe(dq_oe),
      .sdram__dq_i(dq_i & ~data_low),
      .rx(rx),
      .tx(tx),
      .leds(leds)
  );

  sdram_model #(
`include "sdram_parameters.svh"
  ) sdram (
      .clk(clk),
      .cke(cke),
      .cs_n(cs_n),
      .ras_n(ras_n),
      .cas_n(cas_n),
      .we_n(we_n),
      .ba(ba),
      .a(a & ~address_low),
      .dqm(dqm),
      .dq_o(dq_o),
      .dq_oe(dq_oe),
      .dq_i(dq_i),
      .stricter('0),
      .error(),
      .violations(violations)
  );
endmodule
