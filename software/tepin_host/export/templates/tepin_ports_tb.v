// SPDX-License-Identifier: Apache-2.0
// Streams through @TOP@, with pauses at all ends; the last line says PASS if every word is the expected one, to the bit.

module @NAME@;
  localparam CYCLES = @CYCLES@;

  reg clk = 1'b0;
  reg rst = 1'b1;
  integer cycle = 0;
@WIRES@
  wire [@SINKS@-1:0] done, failed;

@INSTANCES@

  always #5 clk = !clk;

  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (cycle == 4) rst <= 1'b0;
    if (failed !== @SINKS@'d0) begin
      $display("FAIL: a word is wrong");
      $finish;
    end else if (&done) begin
      $display("PASS: @WORDS@ words, %0d cycles", cycle);
      $finish;
    end else if (cycle == CYCLES) begin
      $display("FAIL: words are missing after %0d cycles", cycle);
      $finish;
    end
  end
endmodule
