// SPDX-License-Identifier: Apache-2.0
// Both ends of a stream, for testbenches: payload moves in every cycle in which valid and ready are high.

module tepin_source #(
  parameter WIDTH = 1,
  parameter COUNT = 1,
  parameter SEED = 1,
  parameter FILE = ""
) (
  input wire clk,
  input wire rst,
  input wire ready,
  output reg valid,
  output reg [WIDTH-1:0] payload
);
  reg [WIDTH-1:0] words [0:COUNT-1];
  reg [15:0] noise;  // for pauses
  integer sent;

  initial begin
    $readmemh(FILE, words);
    noise = SEED;
    sent = 0;
    valid = 1'b0;
  end

  always @(posedge clk) begin
    noise <= {noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]};
    if (!rst && (!valid || ready)) begin
      valid <= sent < COUNT && noise[1:0] != 2'd0;
      if (sent < COUNT && noise[1:0] != 2'd0) begin
        payload <= words[sent];
        sent <= sent + 1;
      end
    end
  end
endmodule

// Words come in GROUPS, each of COUNT words in their order; bits LOW and above of a word tell its group.
module tepin_sink #(
  parameter WIDTH = 1,
  parameter COUNT = 1,
  parameter GROUPS = 1,
  parameter LOW = 0,
  parameter SEED = 1,
  parameter ALWAYS = 0,
  parameter FILE = ""
) (
  input wire clk,
  input wire rst,
  input wire valid,
  input wire [WIDTH-1:0] payload,
  output reg ready,
  output wire done,
  output reg failed
);
  reg [WIDTH-1:0] words [0:GROUPS*COUNT-1];
  integer received [0:GROUPS-1];
  reg [15:0] noise;
  integer total, group;

  initial begin
    $readmemh(FILE, words);
    noise = SEED;
    total = 0;
    failed = 1'b0;
    ready = ALWAYS;
    for (group = 0; group < GROUPS; group = group + 1) received[group] = 0;
  end

  assign done = total == GROUPS * COUNT;

  always @(posedge clk) begin
    noise <= {noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]};
    ready <= ALWAYS || noise[1:0] != 2'd0;
    if (!rst && valid && ready) begin
      group = GROUPS > 1 ? payload >> LOW : 0;
      if (!(group < GROUPS) || done) begin
        $display("%m: %h was not expected", payload);
        failed <= 1'b1;
      end else if (payload !== words[group * COUNT + received[group]]) begin
        $display("%m: %h instead of %h", payload, words[group * COUNT + received[group]]);
        failed <= 1'b1;
      end
      if (group < GROUPS) received[group] = received[group] + 1;
      total <= total + 1;
    end
  end
endmodule
