// SPDX-License-Identifier: Apache-2.0
//
// The 18 x 18 multiplier of an ECP5, in the modes that the netlists of this repository use: operands and product each
// either registered by CLK0 or not, operands signed or not. From how Yosys maps to it; the guide, Lattice FPGA-TN-02205, was not at hand.
//
// Clock enables, resets and the shift chains have no ports here, because no netlist may connect them: one that does
// is not compiled. An unconnected clock enable is on, an unconnected reset off. C belongs to the pre-adder of
// another primitive; synthesis ties it to zero.

module MULT18X18D (
  input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
  input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
  input C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, C16, C17,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0,
  output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17,
  output P18, P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
  parameter [31:0] REG_INPUTA_CLK = "NONE";
  parameter [31:0] REG_INPUTB_CLK = "NONE";
  parameter [31:0] REG_OUTPUT_CLK = "NONE";

  generate
    if (REG_INPUTA_CLK != "NONE" && REG_INPUTA_CLK != "CLK0"
        || REG_INPUTB_CLK != "NONE" && REG_INPUTB_CLK != "CLK0"
        || REG_OUTPUT_CLK != "NONE" && REG_OUTPUT_CLK != "CLK0") begin : refused
      MULT18X18D_mode_without_a_model refused ();
    end
  endgenerate

  wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};

  // The sign inputs have registers of their own, clocked with the operands.
  reg [18:0] a_register, b_register;
  reg [35:0] product_register;
  wire [18:0] a_extended = {SIGNEDA & a[17], a};
  wire [18:0] b_extended = {SIGNEDB & b[17], b};
  wire signed [18:0] a_operand = REG_INPUTA_CLK == "CLK0" ? a_register : a_extended;
  wire signed [18:0] b_operand = REG_INPUTB_CLK == "CLK0" ? b_register : b_extended;
  wire signed [37:0] product = a_operand * b_operand;

  initial begin
    a_register = 0;
    b_register = 0;
    product_register = 0;
  end

  always @(posedge CLK0) begin
    a_register <= a_extended;
    b_register <= b_extended;
    product_register <= product[35:0];
  end

  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
          P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0}
    = REG_OUTPUT_CLK == "CLK0" ? product_register : product[35:0];
endmodule
