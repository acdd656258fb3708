// SPDX-License-Identifier: Apache-2.0
// A scratchpad for a testbench: any number of ports, which read or write LINE bytes from a multiple of 4 on, each with pauses.
// A line that is read comes six cycles after its request.

module tepin_scratchpad #(
  parameter LINE = 4,
  parameter BYTES = 1024,          // a power of two
  parameter READS = 1,
  parameter WRITES = 1,
  parameter IMAGE = ""             // $readmemh file with all of the bytes
) (
  input wire clk,
  input wire rst,
  input wire [READS-1:0] read_valid,
  input wire [32*READS-1:0] read_address,
  output reg [READS-1:0] read_ready,
  output reg [READS-1:0] response_valid,
  output reg [8*LINE*READS-1:0] response,
  output reg [READS-1:0] read_fault,
  input wire [WRITES-1:0] write_valid,
  input wire [(32+9*LINE)*WRITES-1:0] write_request,  // of each port: mask, data, address
  output reg [WRITES-1:0] write_ready,
  output reg [WRITES-1:0] write_fault
);
  localparam LATENCY = 6, REQUEST = 32 + 9 * LINE;

  reg [7:0] words [0:BYTES-1];
  initial $readmemh(IMAGE, words);

  reg [READS-1:0] valid [0:LATENCY-2];
  reg [READS-1:0] fault [0:LATENCY-2];
  reg [8*LINE*READS-1:0] lines [0:LATENCY-2];
  reg [31:0] noise = 32'hace1_0001;  // for pauses, and for lines that nobody asked for
  reg [31:0] address;
  reg [REQUEST-1:0] request;
  integer port, part, stage;

  always @(posedge clk) begin
    noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};
    read_ready <= noise | noise >> 7;
    write_ready <= noise >> 3 | noise >> 11;
    write_fault <= {WRITES{1'b0}};
    for (port = 0; port < READS; port = port + 1) begin
      address = {read_address[32*port+2 +: 30], 2'b00};
      valid[0][port] <= read_valid[port] && read_ready[port];
      fault[0][port] <= address >= BYTES;
      for (part = 0; part < LINE; part = part + 1)
        lines[0][8*(LINE*port+part) +: 8] <= words[(address + part) & (BYTES - 1)];
    end
    for (stage = 1; stage < LATENCY - 1; stage = stage + 1) begin
      valid[stage] <= valid[stage-1];
      fault[stage] <= fault[stage-1];
      lines[stage] <= lines[stage-1];
    end
    response_valid <= valid[LATENCY-2];
    read_fault <= fault[LATENCY-2];
    for (port = 0; port < READS; port = port + 1)
      response[8*LINE*port +: 8*LINE] <=
        valid[LATENCY-2][port] ? lines[LATENCY-2][8*LINE*port +: 8*LINE] : {2*LINE{noise[3:0]}};
    for (port = 0; port < WRITES; port = port + 1) begin
      request = write_request[REQUEST*port +: REQUEST];
      address = {request[31:2], 2'b00};
      if (write_valid[port] && write_ready[port]) begin
        write_fault[port] <= address >= BYTES;
        for (part = 0; part < LINE; part = part + 1)
          if (address < BYTES && request[32+8*LINE+part]) words[address + part] <= request[32+8*part +: 8];
      end
    end
    if (rst) begin
      read_ready <= {READS{1'b0}};
      write_ready <= {WRITES{1'b0}};
      response_valid <= {READS{1'b0}};
      for (stage = 0; stage < LATENCY - 1; stage = stage + 1) valid[stage] <= {READS{1'b0}};
    end
  end
endmodule
