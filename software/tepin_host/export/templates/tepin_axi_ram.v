// SPDX-License-Identifier: Apache-2.0
// A memory behind an AXI4 port: INCR bursts, one read and one write at a time, no errors. Addresses wrap at its size.

module tepin_axi_ram #(
  parameter DATA_WIDTH = 64,
  parameter WORDS = 1024,          // of DATA_WIDTH bits, a power of two
  parameter IMAGE = ""             // $readmemh file with all of the words
) (
  input wire                    clk,
  input wire                    rst,
  input wire                    awid,
  input wire [31:0]             awaddr,
  input wire [7:0]              awlen,
  input wire                    awvalid,
  output wire                   awready,
  input wire [DATA_WIDTH-1:0]   wdata,
  input wire [DATA_WIDTH/8-1:0] wstrb,
  input wire                    wlast,
  input wire                    wvalid,
  output wire                   wready,
  output reg                    bid,
  output wire [1:0]             bresp,
  output reg                    bvalid,
  input wire                    bready,
  input wire                    arid,
  input wire [31:0]             araddr,
  input wire [7:0]              arlen,
  input wire                    arvalid,
  output wire                   arready,
  output reg                    rid,
  output reg [DATA_WIDTH-1:0]   rdata,
  output wire [1:0]             rresp,
  output reg                    rlast,
  output reg                    rvalid,
  input wire                    rready
);
  localparam BYTES = DATA_WIDTH / 8;
  localparam BYTE_BITS = $clog2(BYTES);
  localparam WORD_BITS = $clog2(WORDS);

  reg [DATA_WIDTH-1:0] words [0:WORDS-1];
  initial $readmemh(IMAGE, words);

  // Writes: address, beats, answer.
  reg writing;
  reg [WORD_BITS-1:0] write_word;
  integer part;
  assign awready = !writing && !bvalid;
  assign wready = writing;
  assign bresp = 2'b00;
  always @(posedge clk) begin
    if (awvalid && awready) begin
      writing <= 1'b1;
      write_word <= awaddr[BYTE_BITS +: WORD_BITS];
      bid <= awid;
    end
    if (wvalid && wready) begin
      for (part = 0; part < BYTES; part = part + 1)
        if (wstrb[part]) words[write_word][8*part +: 8] <= wdata[8*part +: 8];
      write_word <= write_word + 1'b1;
      if (wlast) begin
        writing <= 1'b0;
        bvalid <= 1'b1;
      end
    end
    if (bvalid && bready) bvalid <= 1'b0;
    if (rst) begin
      writing <= 1'b0;
      bvalid <= 1'b0;
    end
  end

  // Reads: address, then a beat in every cycle in which there is room for it.
  reg reading;
  reg [7:0] beats_left;
  reg [WORD_BITS-1:0] read_word;
  assign arready = !reading && !rvalid;
  assign rresp = 2'b00;
  always @(posedge clk) begin
    if (rvalid && rready) rvalid <= 1'b0;
    if (reading && (!rvalid || rready)) begin
      rvalid <= 1'b1;
      rdata <= words[read_word];
      rlast <= beats_left == 8'd0;
      read_word <= read_word + 1'b1;
      beats_left <= beats_left - 8'd1;
      if (beats_left == 8'd0) reading <= 1'b0;
    end
    if (arvalid && arready) begin
      reading <= 1'b1;
      read_word <= araddr[BYTE_BITS +: WORD_BITS];
      beats_left <= arlen;
      rid <= arid;
    end
    if (rst) begin
      reading <= 1'b0;
      rvalid <= 1'b0;
    end
  end
endmodule
