// SPDX-License-Identifier: Apache-2.0
//
// The block RAM of an ECP5, 18 kbit, in the modes that synthesis uses: no output registers, synchronous reset, ports of 1, 2,
// 4, 9 or 18 bits, or port A writing and port B reading 36. Both ports in one clock domain. From how Yosys maps to it; the guide,
// Lattice FPGA-TN-02204, was not at hand.
//
// What cannot be relied upon is noise here: a word that one port reads while the other writes it, and one that both
// write at once. So is the output under an asynchronous reset: synthesis chooses that mode for ports without a reset, and
// ties it low. Other modes that are not modelled are not compiled.
//
// Contents are 512 words of 36 bits: of the 14 address bits, the upper nine choose one, and the lower five a part of it in
// ports that are narrower. Ports of up to 4 bits never reach the ninth bit of a byte. Ports of 18 and 36 bits have byte
// enables in the lowest address bits. Initial contents: 16 words of 18 bits in each parameter, padded to 20.

module DP16KD (
  input DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13, DIA14, DIA15, DIA16, DIA17,
  input ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12, ADA13,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA0, CSA1, CSA2,
  output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13, DOA14, DOA15, DOA16, DOA17,
  input DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13, DIB14, DIB15, DIB16, DIB17,
  input ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB0, CSB1, CSB2,
  output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13, DOB14, DOB15, DOB16, DOB17
);
  parameter DATA_WIDTH_A = 18;
  parameter DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG";
  parameter REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000";
  parameter CSDECODE_B = "0b000";
  parameter WRITEMODE_A = "NORMAL";
  parameter WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA";
  parameter CLKBMUX = "CLKB";
  parameter GSR = "ENABLED";
  parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0;
  parameter [319:0] INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0;
  parameter [319:0] INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0;
  parameter [319:0] INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0;
  parameter [319:0] INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0;
  parameter [319:0] INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0;
  parameter [319:0] INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0;
  parameter [319:0] INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0;
  parameter [319:0] INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0;
  parameter [319:0] INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0;
  parameter [319:0] INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0;
  parameter [319:0] INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0;
  parameter [319:0] INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0;
  parameter [319:0] INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0;
  parameter [319:0] INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0;
  parameter [319:0] INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

  localparam [20479:0] image = {
    INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C,
    INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
    INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34,
    INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
    INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C,
    INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
    INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
    INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
    INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C,
    INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
    INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14,
    INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
    INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C,
    INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
    INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04,
    INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
  };

  generate
    if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CSDECODE_A != "0b000" || CSDECODE_B != "0b000"
        || CLKAMUX != "CLKA" || CLKBMUX != "CLKB"
        || WRITEMODE_A != "NORMAL" && WRITEMODE_A != "WRITETHROUGH" && WRITEMODE_A != "READBEFOREWRITE"
        || WRITEMODE_B != "NORMAL" && WRITEMODE_B != "WRITETHROUGH" && WRITEMODE_B != "READBEFOREWRITE")
    begin : refused
      DP16KD_mode_without_a_model refused ();
    end
  endgenerate

  wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};

  // Place of a port's lowest bit in the word of 36 bits.
  function [5:0] place(input integer width, input [4:0] address);
    case (width)
      36: place = 0;
      18: place = address[4] * 18;
      9: place = address[4:3] * 9;
      4: place = address[4:3] * 9 + address[2] * 4;
      2: place = address[4:3] * 9 + address[2:1] * 2;
      default: place = address[4:3] * 9 + address[2:0];
    endcase
  endfunction

  // Bits of the word that a port covers, and those of them that it writes if it writes.
  function [35:0] covered(input integer width, input [4:0] address);
    covered = (36'hFFFFFFFFF >> (36 - width)) << place(width, address);
  endfunction

  function [35:0] enabled(input integer width, input [4:0] address);
    case (width)
      36: enabled = {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}};
      18: enabled = {18'b0, {9{address[1]}}, {9{address[0]}}} << place(width, address);
      default: enabled = covered(width, address);
    endcase
  endfunction

  reg [35:0] memory [0:511];
  reg [35:0] qa, qb;  // The words of 36 bits from the place of the port on.

  wire active_a = CEA & ~CSA0 & ~CSA1 & ~CSA2;
  wire active_b = CEB & ~CSB0 & ~CSB1 & ~CSB2;
  wire write_a = active_a & WEA & ~RSTA;
  wire write_b = active_b & WEB & ~RSTB;
  wire same = active_a & active_b & (ada[13:5] == adb[13:5]);
  wire [35:0] written_a = write_a ? enabled(DATA_WIDTH_A, ada[4:0]) : 36'b0;
  wire [35:0] written_b = write_b ? enabled(DATA_WIDTH_B, adb[4:0]) : 36'b0;
  wire [35:0] data_a = {DATA_WIDTH_A == 36 ? dib : 18'b0, dia} << place(DATA_WIDTH_A, ada[4:0]);
  wire [35:0] data_b = {18'b0, dib} << place(DATA_WIDTH_B, adb[4:0]);
  // Bits that are undefined: written by the other port.
  wire [35:0] clash_a = same ? written_b : 36'b0;
  wire [35:0] clash_b = same ? written_a : 36'b0;
  wire [35:0] both = clash_a & written_a;

  reg [35:0] noise;
  integer word;
  reg [19:0] slice;
  initial begin
    noise = 36'h9A3C5E71B;
    qa = 0;
    qb = 0;
    for (word = 0; word < 512; word = word + 1)
      memory[word] = {image[40 * word + 20 +: 18], image[40 * word +: 18]};
  end

  always @(posedge CLKA or posedge CLKB) begin
    noise <= {noise[34:0], noise[35] ^ noise[24]};
    if (same & |(written_a | written_b))
      memory[ada[13:5]] <= memory[ada[13:5]] & ~(written_a | written_b)
        | (data_a & written_a | data_b & written_b) & ~both | noise & both;
    else begin
      if (write_a) memory[ada[13:5]] <= memory[ada[13:5]] & ~written_a | data_a & written_a;
      if (write_b) memory[adb[13:5]] <= memory[adb[13:5]] & ~written_b | data_b & written_b;
    end

    if (RSTA) qa <= 0;
    else if (active_a && (~WEA || WRITEMODE_A == "READBEFOREWRITE"))
      qa <= (memory[ada[13:5]] ^ noise & clash_a) >> place(DATA_WIDTH_A, ada[4:0]);
    else if (active_a && WRITEMODE_A == "WRITETHROUGH")
      qa <= (memory[ada[13:5]] & ~written_a | data_a & written_a ^ noise & clash_a) >> place(DATA_WIDTH_A, ada[4:0]);

    if (RSTB) qb <= 0;
    else if (active_b && (~WEB || WRITEMODE_B == "READBEFOREWRITE"))
      qb <= (memory[adb[13:5]] ^ noise & clash_b) >> place(DATA_WIDTH_B, adb[4:0]);
    else if (active_b && WRITEMODE_B == "WRITETHROUGH")
      qb <= (memory[adb[13:5]] & ~written_b | data_b & written_b ^ noise & clash_b) >> place(DATA_WIDTH_B, adb[4:0]);
  end

  // A port that reads 36 bits has the lower half at DOA.
  wire [17:0] doa = DATA_WIDTH_B == 36 ? qb[17:0] : qa[17:0] & 18'h3FFFF >> (18 - DATA_WIDTH_A);
  wire [17:0] dob = DATA_WIDTH_B == 36 ? qb[35:18] : qb[17:0] & 18'h3FFFF >> (18 - DATA_WIDTH_B);
  wire [17:0] blur_a = RESETMODE == "ASYNC" && RSTA ? noise[17:0] : 18'b0;
  wire [17:0] blur_b = RESETMODE == "ASYNC" && RSTB ? noise[17:0] : 18'b0;
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = doa ^ blur_a;
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = dob ^ blur_b;
endmodule
