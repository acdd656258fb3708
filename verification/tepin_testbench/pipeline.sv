// SPDX-License-Identifier: Apache-2.0
// A pipeline between registers that C++ sets: at every clock edge `pipeline_step` sees what leaves it and decides what enters.

module pipeline_harness #(
    parameter I_WIDTH = 64,
    parameter O_WIDTH = 32
) (
    input logic clk
);
  import "DPI-C" function void pipeline_step(
    input bit o_valid,
    input bit [O_WIDTH-1:0] o,
    output bit next_valid,
    output bit [I_WIDTH-1:0] next
  );

  bit [3:0] age = 0;
  bit i_valid, next_valid;
  bit [I_WIDTH-1:0] i, next;
  logic o_valid;
  logic [O_WIDTH-1:0] o;

  always @(posedge clk) begin
    if (age != 15) age <= age + 1;
    else begin
      pipeline_step(o_valid, o, next_valid, next);
      i_valid <= next_valid;
      i <= next;
    end
  end

  pipeline dut (
      .clk(clk),
      .rst(age != 15),
      .i(i),
      .i_valid(i_valid),
      .o(o),
      .o_valid(o_valid)
  );
endmodule
