// SPDX-License-Identifier: Apache-2.0
// Rows through @TOP@, with pauses on both sides; the last line says PASS if every result is the expected one, to the bit.

module @NAME@;
  localparam LANES = @LANES@, BITS = @BITS@, SENT = @SENT@, EXPECTED = @EXPECTED@, GIVEN = @GIVEN@;

  reg clk = 1'b0;
  reg rst = 1'b1;
  reg [BITS-1:0] rows [0:SENT-1];
  reg [BITS-1:0] expected [0:EXPECTED-1];
  reg [64*LANES:0] parameters [0:(GIVEN > 0 ? GIVEN : 1)-1];
  reg [BITS-1:0] beat;
  reg [64*LANES:0] parameter_beat;
  reg sending = 1'b0, giving = 1'b0, m_ready = 1'b0;
  reg [15:0] noise = 16'hace1;     // for pauses
  wire s_ready, p_ready, m_valid, m_last;
  wire [4*LANES-1:0] m_keep;
  wire [32*LANES-1:0] m_data;
  integer sent = 0, given = 0, received = 0, wrong = 0, cycle = 0, lane;
  reg different, took, gave;

  @TOP@ dut (
@CONNECTIONS@
  );

  initial begin
    $readmemh("tb/rows.hex", rows);
    $readmemh("tb/expected.hex", expected);
    if (GIVEN > 0) $readmemh("tb/parameters.hex", parameters);
    while (received < EXPECTED && cycle < 100000) begin
      // What happens at this edge, by what the ports are before it.
      if (m_valid && m_ready) begin
        different = m_last != expected[received][BITS-1] || m_keep != expected[received][BITS-2 -: 4*LANES];
        for (lane = 0; lane < LANES; lane = lane + 1)
          if (m_keep[4*lane] && m_data[32*lane +: 32] != expected[received][32*lane +: 32]) different = 1'b1;
        if (different !== 1'b0) begin
          $display("beat %0d: %h instead of %h", received, {m_last, m_keep, m_data}, expected[received]);
          wrong = wrong + 1;
        end
        received = received + 1;
      end
      took = sending && s_ready;
      gave = giving && p_ready;
      #1 clk = 1'b1;
      #1;
      if (took) begin
        sent = sent + 1;
        sending = 1'b0;
      end
      if (gave) begin
        given = given + 1;
        giving = 1'b0;
      end
      noise = {noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]};
      cycle = cycle + 1;
      if (cycle == 4) rst = 1'b0;
      if (cycle > 8) begin
        if (given < GIVEN) begin
          parameter_beat = parameters[given];
          giving = 1'b1;
        end else if (sent < SENT && (sending || noise[0])) begin
          beat = rows[sent];
          sending = 1'b1;
        end
        m_ready = noise[1];
      end
      #1 clk = 1'b0;
      #1;
    end
    if (received != EXPECTED) $display("FAIL: %0d of %0d beats after %0d cycles", received, EXPECTED, cycle);
    else if (wrong != 0) $display("FAIL: %0d of %0d beats are wrong", wrong, EXPECTED);
    else $display("PASS: %0d beats, %0d cycles", received, cycle);
    $finish;
  end
endmodule
