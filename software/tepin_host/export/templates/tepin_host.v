// SPDX-License-Identifier: Apache-2.0
// A host that is a small state machine: it writes a list of registers, which loads and starts a program, and then reads tokens
// until the program ends.

module tepin_host #(
  parameter WRITES = 1,            // entries of the list
  parameter SCRIPT = ""            // $readmemh file with the list: address (16 bits) and value (32 bits) of each
) (
  input wire         clk,
  input wire         rst,
  output wire [15:0] awaddr,
  output reg         awvalid,
  input wire         awready,
  output wire [31:0] wdata,
  output reg         wvalid,
  input wire         wready,
  input wire [1:0]   bresp,
  input wire         bvalid,
  output wire        bready,
  output wire [15:0] araddr,
  output reg         arvalid,
  input wire         arready,
  input wire [31:0]  rdata,
  input wire [1:0]   rresp,
  input wire         rvalid,
  output wire        rready,
  output reg         token_valid,  // high for a cycle
  output reg [30:0]  token,
  output reg         done,         // the program has ended,
  output reg         failed        // with an error, or a register has refused an access
);
  localparam STATUS = 16'h@STATUS@, TOKEN = 16'h@TOKEN@;
  localparam WRITE = 2'd0, ASK_STATUS = 2'd1, ASK_TOKEN = 2'd2, ENDED = 2'd3;

  reg [47:0] script [0:WRITES-1];
  initial $readmemh(SCRIPT, script);

  reg [1:0] state;
  reg [31:0] index;
  reg waiting;                     // for an answer
  reg [3:0] status;
  assign {awaddr, wdata} = script[index];
  assign araddr = state == ASK_STATUS ? STATUS : TOKEN;
  assign bready = 1'b1;
  assign rready = 1'b1;

  always @(posedge clk) begin
    token_valid <= 1'b0;
    if (awvalid && awready) awvalid <= 1'b0;
    if (wvalid && wready) wvalid <= 1'b0;
    if (arvalid && arready) arvalid <= 1'b0;
    case (state)
      WRITE: begin
        if (!waiting) begin
          awvalid <= 1'b1;
          wvalid <= 1'b1;
          waiting <= 1'b1;
        end
        if (bvalid) begin
          waiting <= 1'b0;
          index <= index + 32'd1;
          if (index == WRITES - 1) state <= ASK_STATUS;
        end
      end
      ASK_STATUS, ASK_TOKEN: begin
        if (!waiting) begin
          arvalid <= 1'b1;
          waiting <= 1'b1;
        end
        if (rvalid) begin
          waiting <= 1'b0;
          if (state == ASK_STATUS) begin
            status <= rdata[3:0];
            state <= ASK_TOKEN;
          end else begin
            token_valid <= rdata[31];
            token <= rdata[30:0];
            // Busy, or with a token to come, when the status was read: then the program has not ended for us.
            state <= rdata[31] || status[0] || status[3] ? ASK_STATUS : ENDED;
          end
        end
      end
      default: begin
        done <= 1'b1;
        failed <= failed || status[2];
      end
    endcase
    if ((bvalid && bresp != 2'b00) || (rvalid && rresp != 2'b00)) failed <= 1'b1;
    if (rst) begin
      state <= WRITE;
      index <= 32'd0;
      waiting <= 1'b0;
      awvalid <= 1'b0;
      wvalid <= 1'b0;
      arvalid <= 1'b0;
      token_valid <= 1'b0;
      done <= 1'b0;
      failed <= 1'b0;
    end
  end
endmodule
