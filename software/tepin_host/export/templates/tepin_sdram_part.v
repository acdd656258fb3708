// SPDX-License-Identifier: Apache-2.0
// An SDR SDRAM for a testbench: banks with open rows, bursts of reads, CAS latency 2 or 3, single writes with masks. It has
// the lowest ROWS rows only. `error` is high for good once a closed row is used, an open one opened, or a row is closed or
// refreshed that must not be; times it does not know.

module tepin_sdram_part #(
  parameter WIDTH = 16,
  parameter BANK_BITS = 2,
  parameter COLUMN_BITS = 9,
  parameter ADDRESS_BITS = 13,
  parameter ROWS = 4
) (
  input wire clk,
  input wire cke,
  input wire cs_n,
  input wire ras_n,
  input wire cas_n,
  input wire we_n,
  input wire [BANK_BITS-1:0] ba,
  input wire [ADDRESS_BITS-1:0] a,
  input wire [WIDTH/8-1:0] dqm,
  input wire [WIDTH-1:0] dq_o,
  input wire dq_oe,
  output reg [WIDTH-1:0] dq_i,
  output reg error
);
  localparam BANKS = 1 << BANK_BITS;
  localparam COLUMNS = 1 << COLUMN_BITS;

  reg [WIDTH-1:0] words [0:ROWS*BANKS*COLUMNS-1];
  reg [BANKS-1:0] opened;
  reg [ADDRESS_BITS-1:0] row [0:BANKS-1];
  reg [2:0] latency;
  reg [3:0] burst, left;
  reg [BANK_BITS-1:0] bank;
  reg [COLUMN_BITS-1:0] first, column;
  reg [WIDTH-1:0] fetched, late;
  reg fetch;
  integer place, part;

  initial begin
    error = 1'b0;
    opened = {BANKS{1'b0}};
    left = 4'd0;
    burst = 4'd1;
    latency = 3'd3;
  end

  always @(posedge clk) begin
    // The words of a read that is under way; a command below may replace it.
    fetch = left != 4'd0;
    column = (first & ~(burst - 1)) | ((first + (burst - left)) & (burst - 1));
    if (fetch) left = left - 4'd1;
    if (cke && !cs_n)
      case ({ras_n, cas_n, we_n})
        3'b000: begin
          latency = a[6:4];
          burst = 4'd1 << a[1:0];
          if (opened != 0 || latency < 3'd2 || latency > 3'd3 || a[2] || a[3]) error <= 1'b1;
        end
        3'b001: if (opened != 0) error <= 1'b1;
        3'b010: opened = a[10] ? {BANKS{1'b0}} : opened & ~(1 << ba);
        3'b011: begin
          if (opened[ba] || a >= ROWS) error <= 1'b1;
          opened[ba] = 1'b1;
          row[ba] = a;
        end
        3'b100: begin
          if (!opened[ba] || !dq_oe || a[10]) error <= 1'b1;
          left = 4'd0;
          fetch = 1'b0;
          place = (row[ba] * BANKS + ba) * COLUMNS + a[COLUMN_BITS-1:0];
          for (part = 0; part < WIDTH / 8; part = part + 1)
            if (!dqm[part]) words[place][8*part +: 8] = dq_o[8*part +: 8];
        end
        3'b101: begin
          if (!opened[ba] || dq_oe || a[10]) error <= 1'b1;
          left = burst - 4'd1;
          bank = ba;
          first = a[COLUMN_BITS-1:0];
          column = first;
          fetch = 1'b1;
        end
        3'b111: ;
        default: error <= 1'b1;
      endcase
    // A word can be taken at the edge that comes so many cycles after the command as the latency says.
    late <= fetched;
    fetched <= fetch ? words[(row[bank] * BANKS + bank) * COLUMNS + column] : {WIDTH{1'bx}};
    dq_i <= latency == 3'd3 ? late : fetched;
  end
endmodule
