// SPDX-License-Identifier: Apache-2.0
//
// Behavioural model of an SDR SDRAM that objects to every violation of its timing and protocol. Verilog-2005.
//
// All times are parameters in clock cycles. Pins have the names of the controller's: so its dq_o and dq_oe are inputs here, and
// dq_i is what the part drives. Commands are sampled at the rising edge of clk, and a word that was read can be sampled CAS
// latency edges after its READ. Between words there is noise on dq_i, and so there is in words that were never written.
//
// A violation sets its bit in `violations` for one cycle, sets `error` for good, and prints a line that begins with "sdram:" and
// names the parameter. The bits are in the order of the localparams below, which sdram.py repeats.
//
// `stricter` is for tests of whoever drives the model: bit n makes time n stricter, by one cycle if it is the time between two
// commands, by a factor of two if it is one of the long ones. Zero otherwise.
//
// Not modelled, and objected to: auto-precharge, write bursts, interleaved bursts, full-page bursts, BURST TERMINATE, self
// refresh and power-down.
//
// Back door: `memory[n]` is word n, in the order {row, bank, column}, and so that at the controller's byte address
// n * DATA_WIDTH / 8. It is public to Verilator: in C++ `rootp-><path of the instance>__DOT__memory[n]`.

module sdram_model #(
    parameter DATA_WIDTH = 16,
    parameter BANK_BITS = 2,
    parameter ROW_BITS = 13,
    parameter COLUMN_BITS = 9,
    parameter ADDRESS_WIDTH = 13,
    parameter T_RCD = 3,
    parameter T_RP = 3,
    parameter T_RAS = 5,
    parameter T_RC = 7,
    parameter T_RFC = 7,
    parameter T_RRD = 2,
    parameter T_WR = 2,
    parameter T_MRD = 2,
    parameter T_RTP = 3,          // READ to PRECHARGE of the bank
    parameter T_CAS = 3,          // least CAS latency at this clock
    parameter T_RAS_MAX = 10000,  // longest time for which a row may be open
    parameter T_POWER_UP = 20000, // cycles of clock before the first command
    parameter T_REFRESH = 6400000,// cycles in which every row must be refreshed
    parameter REFRESHES = 8192,   // REFRESH commands that refresh all rows
    parameter INIT_REFRESHES = 2  // REFRESH commands before the part may be used
) (
    input wire clk,
    input wire cke,
    input wire cs_n,
    input wire ras_n,
    input wire cas_n,
    input wire we_n,
    input wire [BANK_BITS-1:0] ba,
    input wire [ADDRESS_WIDTH-1:0] a,
    input wire [DATA_WIDTH/8-1:0] dqm,
    input wire [DATA_WIDTH-1:0] dq_o,
    input wire dq_oe,
    input wire [13:0] stricter,
    output reg [DATA_WIDTH-1:0] dq_i,
    output reg error,
    output reg [19:0] violations
);

  localparam RCD = 0, RP = 1, RAS = 2, RC = 3, RFC = 4, RRD = 5, WR = 6, MRD = 7, RTP = 8, CAS = 9, RAS_MAX = 10;
  localparam POWER_UP = 11, REFRESH = 12, TURN = 13, CLOSED = 14, OPEN = 15, INIT = 16, MASK = 17, MODE = 18, DRIVE = 19;

  localparam BANKS = 1 << BANK_BITS;
  localparam [2:0] C_MODE = 0, C_REFRESH = 1, C_PRECHARGE = 2, C_ACTIVATE = 3, C_WRITE = 4, C_READ = 5, C_NOP = 7;
  // Time zero: long enough after every time that was never stamped.
  localparam [63:0] BEGIN = 64'd1 << 32;

  reg [DATA_WIDTH-1:0] memory [0:(1 << (ROW_BITS + BANK_BITS + COLUMN_BITS)) - 1] /* verilator public_flat_rw */;

  reg [63:0] now;
  reg [63:0] activated [0:BANKS-1];
  reg [63:0] precharged [0:BANKS-1];
  reg [63:0] was_read [0:BANKS-1];
  reg [63:0] written [0:BANKS-1];
  reg [63:0] last_activated, last_precharged, last_refreshed, last_mode;
  reg [63:0] refreshed [0:REFRESHES-1];
  reg refresh_reported;
  integer refresh_index;

  reg [BANKS-1:0] is_open;
  reg [ROW_BITS-1:0] row [0:BANKS-1];
  reg [BANKS-1:0] age_reported;

  // Initialisation: what has been seen.
  reg awake, all_precharged, mode_set;
  integer init_refreshes;

  // The running read burst, and its words on their way to the pins.
  reg [2:0] latency;
  reg [3:0] burst, left;
  reg [BANK_BITS-1:0] burst_bank;
  reg [COLUMN_BITS-1:0] burst_column, offset;
  reg [DATA_WIDTH-1:0] word1, word2;
  reg valid1, valid2, driving, drove, drove2;
  reg [DATA_WIDTH/8-1:0] masked;

  wire [2:0] command = cs_n ? C_NOP : {ras_n, cas_n, we_n};
  wire [COLUMN_BITS-1:0] column = COLUMN_BITS > 10 ? ((a >> 11) << 10) | a[9:0] : a[COLUMN_BITS-1:0];
  integer i;
  reg [19:0] found;
  reg fetch;
  reg [BANK_BITS-1:0] fetch_bank;
  reg [COLUMN_BITS-1:0] fetch_column;
  reg [DATA_WIDTH-1:0] fetched, keep;

  initial begin
    for (i = 0; i < 1 << (ROW_BITS + BANK_BITS + COLUMN_BITS); i = i + 1) memory[i] = noise(i);
    now = BEGIN;
    for (i = 0; i < BANKS; i = i + 1) begin
      activated[i] = 0;
      precharged[i] = 0;
      was_read[i] = 0;
      written[i] = 0;
      row[i] = 0;
    end
    for (i = 0; i < REFRESHES; i = i + 1) refreshed[i] = BEGIN;
    refresh_reported = 0;
    refresh_index = 0;
    last_activated = 0;
    last_precharged = 0;
    last_refreshed = 0;
    last_mode = 0;
    is_open = 0;
    age_reported = 0;
    awake = 0;
    all_precharged = 0;
    mode_set = 0;
    init_refreshes = 0;
    latency = T_CAS;
    burst = 1;
    left = 0;
    burst_bank = 0;
    burst_column = 0;
    offset = 0;
    word1 = 0;
    word2 = 0;
    valid1 = 0;
    valid2 = 0;
    driving = 0;
    drove = 0;
    drove2 = 0;
    masked = 0;
    dq_i = 0;
    error = 0;
    violations = 0;
  end

  task violate(input integer code, input [8*12:1] name);
    begin
      $display("sdram: %0s violated in cycle %0d, bank %0d, address %0h", name, now - BEGIN, ba, a);
      found[code] = 1;
    end
  endtask

  task precharge(input integer bank);
    if (is_open[bank]) begin
      if (now - activated[bank] < T_RAS + stricter[RAS]) violate(RAS, "tRAS");
      if (now - written[bank] < T_WR + stricter[WR]) violate(WR, "tWR");
      if (now - was_read[bank] < T_RTP + stricter[RTP]) violate(RTP, "tRTP");
      if (left != 0 && burst_bank == bank) left = 0;
      is_open[bank] = 0;
      precharged[bank] = now;
      last_precharged = now;
    end
  endtask

  task idle_banks;  // what REFRESH and MODE REGISTER SET need
    begin
      if (is_open != 0) violate(OPEN, "open bank");
      if (now - last_precharged < T_RP + stricter[RP]) violate(RP, "tRP");
    end
  endtask

  task access;  // what READ and WRITE have in common
    begin
      if (!is_open[ba]) violate(CLOSED, "closed row");
      if (now - activated[ba] < T_RCD + stricter[RCD]) violate(RCD, "tRCD");
      if (a[10]) violate(MODE, "auto-precharge");
    end
  endtask

  always @(posedge clk) begin
    now = now + 1;
    found = 0;
    fetch = 0;
    fetch_bank = burst_bank;
    fetch_column = burst_column;
    if (left != 0) begin
      fetch = 1;
      offset = (burst_column & (burst - 1)) + (burst - left);
      fetch_column = (burst_column & ~(burst - 1)) | (offset & (burst - 1));
      left = left - 1;
    end

    if (cke && command != C_NOP) begin
      if (!awake) begin
        if (now - BEGIN < T_POWER_UP << stricter[POWER_UP]) violate(POWER_UP, "power-up");
        // Before there was nothing to keep.
        for (i = 0; i < REFRESHES; i = i + 1) refreshed[i] = now;
      end
      awake = 1;
      if (now - last_refreshed < T_RFC + stricter[RFC]) violate(RFC, "tRFC");
      if (now - last_mode < T_MRD + stricter[MRD]) violate(MRD, "tMRD");
      case (command)
        C_PRECHARGE: begin
          if (a[10]) begin
            for (i = 0; i < BANKS; i = i + 1) precharge(i);
            all_precharged = 1;
            last_precharged = now;
          end else precharge(ba);
        end
        C_REFRESH: begin
          idle_banks;
          if (!all_precharged) violate(INIT, "init order");
          init_refreshes = init_refreshes + 1;
          last_refreshed = now;
          refreshed[refresh_index] = now;
          refresh_index = refresh_index == REFRESHES - 1 ? 0 : refresh_index + 1;
          refresh_reported = 0;
        end
        C_MODE: begin
          idle_banks;
          if (!all_precharged) violate(INIT, "init order");
          if (a[6:4] < T_CAS + stricter[CAS] || a[6:4] < 2 || a[6:4] > 3) violate(CAS, "CAS latency");
          if (a[2:0] > 3 || a[3] || a[8:7] != 0 || ba != 0 || (!a[9] && a[2:0] != 0)) violate(MODE, "mode");
          latency = a[6:4];
          burst = 1 << a[1:0];
          mode_set = 1;
          last_mode = now;
        end
        C_ACTIVATE: begin
          if (!mode_set || init_refreshes < INIT_REFRESHES) violate(INIT, "init order");
          if (is_open[ba]) violate(OPEN, "open bank");
          if (now - precharged[ba] < T_RP + stricter[RP]) violate(RP, "tRP");
          if (now - activated[ba] < T_RC + stricter[RC]) violate(RC, "tRC");
          if (now - last_activated < T_RRD + stricter[RRD]) violate(RRD, "tRRD");
          is_open[ba] = 1;
          row[ba] = a[ROW_BITS-1:0];
          activated[ba] = now;
          last_activated = now;
          age_reported[ba] = 0;
        end
        C_READ: begin
          access;
          was_read[ba] = now;
          burst_bank = ba;
          burst_column = column;
          left = burst - 1;
          fetch = 1;
          fetch_bank = ba;
          fetch_column = column;
        end
        C_WRITE: begin
          access;
          if (!dq_oe) violate(DRIVE, "dq not driven");
          written[ba] = now;
          left = 0;
          fetch = 0;
          keep = memory[{row[ba], ba, column}];
          for (i = 0; i < DATA_WIDTH / 8; i = i + 1) if (!dqm[i]) keep[8*i+:8] = dq_o[8*i+:8];
          memory[{row[ba], ba, column}] <= keep;
        end
        default: violate(MODE, "command");
      endcase
    end

    if (awake && !cke) violate(MODE, "cke");
    if (now - refreshed[refresh_index] > T_REFRESH >> stricter[REFRESH] && !refresh_reported) begin
      violate(REFRESH, "refresh");
      refresh_reported = 1;
    end
    for (i = 0; i < BANKS; i = i + 1)
      if (is_open[i] && !age_reported[i] && now - activated[i] > T_RAS_MAX >> stricter[RAS_MAX]) begin
        violate(RAS_MAX, "tRAS max");
        age_reported[i] = 1;
      end

    // Both sides of the data bus. `driving`: the word that can be sampled at this edge is the part's.
    if (dq_oe && driving) violate(TURN, "bus contention");
    if (dq_oe && (drove || drove2 && stricter[TURN])) violate(TURN, "turnaround");
    drove2 = drove;
    drove = driving;
    fetched = memory[{row[fetch_bank], fetch_bank, fetch_column}];
    if (latency == 2) begin
      driving = valid1;
      dq_i <= valid1 ? word1 : noise(now);
    end else begin
      driving = valid2;
      dq_i <= valid2 ? word2 : noise(now);
    end
    // dqm takes away the word two edges after it. Nobody here wants that.
    if (driving && masked != 0) violate(MASK, "dqm");
    masked = dqm;
    word2 = word1;
    valid2 = valid1;
    word1 = fetched;
    valid1 = fetch;

    violations <= found;
    error <= error | found != 0;
  end

  function [DATA_WIDTH-1:0] noise(input [63:0] seed);
    noise = {DATA_WIDTH / 8{seed[7:0] ^ 8'ha5}};
  endfunction
endmodule
