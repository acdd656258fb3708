// SPDX-License-Identifier: Apache-2.0
// @TOP@, with pauses at all ends; the last line says PASS if every word, of memories, too, is the expected one, to the bit.

module @NAME@;
  localparam CYCLES = @CYCLES@;

  reg clk = 1'b0;
  reg rst = 1'b1;
  integer cycle = 0, quiet = 0, place = 0, wrong = 0;
@WIRES@
  wire [@SINKS@-1:0] done, failed;

@INSTANCES@

@CHECKS@
  always #5 clk = !clk;

  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (&done) quiet <= quiet + 1;  // Nothing more may come.
    if (cycle == 4) rst <= 1'b0;
    if (failed !== @SINKS@'d0) begin
      $display("FAIL: a word is wrong");
      $finish;
    end else if (!rst && (@ERRORS@)) begin
      $display("FAIL: an error is reported");
      $finish;
    end else if (quiet == 50) begin
@CALLS@      if (wrong == 0) $display("PASS: @WORDS@ words, %0d cycles", cycle - quiet);
      else $display("FAIL: %0d words of memories are wrong", wrong);
      $finish;
    end else if (cycle == CYCLES) begin
      $display("FAIL: words are missing after %0d cycles", cycle);
      $finish;
    end
  end
endmodule
