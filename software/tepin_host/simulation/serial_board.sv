// SPDX-License-Identifier: Apache-2.0
// A board of which the system sees a serial line and nothing else. At every clock edge `tepin_board_tick` sees what changes on it.

module board (
    input logic clk,
    input longint unsigned simulation,
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
  logic [1:0] lit;
  assign leds = 8'(lit);

  always @(posedge clk) begin
    tepin_board_tick(simulation, tx, 1'b0, '0, '0, next_rst, next_rx);
    rst <= next_rst;
    rx <= next_rx;
  end

  tepin_system system (
      .clk(clk),
      .rst(rst),
      .rx(rx),
      .tx(tx),
      .leds(lit)
  );
endmodule
