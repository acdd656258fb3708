// SPDX-License-Identifier: Apache-2.0
// A whole system in plain Verilog: the chip, a memory, a host. It prints the chip's tokens, and the last line says PASS if they
// are those of the list that is expected.

module tepin_system_tb;
  parameter MEMORY_WORDS = @MEMORY_WORDS@;
  parameter WRITES = @WRITES@;
  parameter EXPECTED = @EXPECTED@;          // tokens; 0: they are only printed
  parameter CYCLES = @CYCLES@;              // after which there is no more hope
  localparam WIDTH = @WIDTH@;               // of the memory port

  reg clk = 1'b0;
  reg rst = 1'b1;
  integer cycle = 0;
  integer tokens = 0;
  integer wrong = 0;
  reg [31:0] expected [0:(EXPECTED > 0 ? EXPECTED : 1)-1];

  wire [15:0] s_axil_awaddr, s_axil_araddr;
  wire [31:0] s_axil_wdata, s_axil_rdata;
  wire [1:0] s_axil_bresp, s_axil_rresp;
  wire s_axil_awvalid, s_axil_awready, s_axil_wvalid, s_axil_wready, s_axil_bvalid, s_axil_bready;
  wire s_axil_arvalid, s_axil_arready, s_axil_rvalid, s_axil_rready;
  wire m_axi_awid, m_axi_bid, m_axi_arid, m_axi_rid;
  wire [31:0] m_axi_awaddr, m_axi_araddr;
  wire [7:0] m_axi_awlen, m_axi_arlen;
  wire [WIDTH-1:0] m_axi_wdata, m_axi_rdata;
  wire [WIDTH/8-1:0] m_axi_wstrb;
  wire [1:0] m_axi_bresp, m_axi_rresp;
  wire m_axi_awvalid, m_axi_awready, m_axi_wlast, m_axi_wvalid, m_axi_wready, m_axi_bvalid, m_axi_bready;
  wire m_axi_arvalid, m_axi_arready, m_axi_rlast, m_axi_rvalid, m_axi_rready;
  wire token_valid, done, failed;
  wire [30:0] token;

  tepin_host #(.WRITES(WRITES), .SCRIPT("@SCRIPT@")) host (
    .clk(clk), .rst(rst),
    .awaddr(s_axil_awaddr), .awvalid(s_axil_awvalid), .awready(s_axil_awready),
    .wdata(s_axil_wdata), .wvalid(s_axil_wvalid), .wready(s_axil_wready),
    .bresp(s_axil_bresp), .bvalid(s_axil_bvalid), .bready(s_axil_bready),
    .araddr(s_axil_araddr), .arvalid(s_axil_arvalid), .arready(s_axil_arready),
    .rdata(s_axil_rdata), .rresp(s_axil_rresp), .rvalid(s_axil_rvalid), .rready(s_axil_rready),
    .token_valid(token_valid), .token(token), .done(done), .failed(failed)
  );

  tepin chip (
    .clk(clk), .rst(rst),
    .s_axil_awaddr(s_axil_awaddr), .s_axil_awprot(3'd0), .s_axil_awvalid(s_axil_awvalid),
    .s_axil_awready(s_axil_awready),
    .s_axil_wdata(s_axil_wdata), .s_axil_wstrb(4'hf), .s_axil_wvalid(s_axil_wvalid), .s_axil_wready(s_axil_wready),
    .s_axil_bresp(s_axil_bresp), .s_axil_bvalid(s_axil_bvalid), .s_axil_bready(s_axil_bready),
    .s_axil_araddr(s_axil_araddr), .s_axil_arprot(3'd0), .s_axil_arvalid(s_axil_arvalid),
    .s_axil_arready(s_axil_arready),
    .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp), .s_axil_rvalid(s_axil_rvalid),
    .s_axil_rready(s_axil_rready),
    .m_axi_awid(m_axi_awid), .m_axi_awaddr(m_axi_awaddr), .m_axi_awlen(m_axi_awlen), .m_axi_awsize(),
    .m_axi_awburst(), .m_axi_awcache(), .m_axi_awprot(), .m_axi_awvalid(m_axi_awvalid),
    .m_axi_awready(m_axi_awready),
    .m_axi_wdata(m_axi_wdata), .m_axi_wstrb(m_axi_wstrb), .m_axi_wlast(m_axi_wlast), .m_axi_wvalid(m_axi_wvalid),
    .m_axi_wready(m_axi_wready),
    .m_axi_bid(m_axi_bid), .m_axi_bresp(m_axi_bresp), .m_axi_bvalid(m_axi_bvalid), .m_axi_bready(m_axi_bready),
    .m_axi_arid(m_axi_arid), .m_axi_araddr(m_axi_araddr), .m_axi_arlen(m_axi_arlen), .m_axi_arsize(),
    .m_axi_arburst(), .m_axi_arcache(), .m_axi_arprot(), .m_axi_arvalid(m_axi_arvalid),
    .m_axi_arready(m_axi_arready),
    .m_axi_rid(m_axi_rid), .m_axi_rdata(m_axi_rdata), .m_axi_rresp(m_axi_rresp), .m_axi_rlast(m_axi_rlast),
    .m_axi_rvalid(m_axi_rvalid), .m_axi_rready(m_axi_rready),
    .irq(), .probe_valid(), .probe_data(), .probe_last()
  );

  tepin_axi_ram #(.DATA_WIDTH(WIDTH), .WORDS(MEMORY_WORDS), .IMAGE("@IMAGE@")) memory (
    .clk(clk), .rst(rst),
    .awid(m_axi_awid), .awaddr(m_axi_awaddr), .awlen(m_axi_awlen), .awvalid(m_axi_awvalid),
    .awready(m_axi_awready),
    .wdata(m_axi_wdata), .wstrb(m_axi_wstrb), .wlast(m_axi_wlast), .wvalid(m_axi_wvalid), .wready(m_axi_wready),
    .bid(m_axi_bid), .bresp(m_axi_bresp), .bvalid(m_axi_bvalid), .bready(m_axi_bready),
    .arid(m_axi_arid), .araddr(m_axi_araddr), .arlen(m_axi_arlen), .arvalid(m_axi_arvalid),
    .arready(m_axi_arready),
    .rid(m_axi_rid), .rdata(m_axi_rdata), .rresp(m_axi_rresp), .rlast(m_axi_rlast), .rvalid(m_axi_rvalid),
    .rready(m_axi_rready)
  );

  initial if (EXPECTED > 0) $readmemh("@TOKENS@", expected);

  initial begin
    while ((rst || !done) && cycle < CYCLES) begin
      #1 clk = 1'b1;
      #1 clk = 1'b0;
      cycle = cycle + 1;
      if (cycle == 8) rst = 1'b0;
      if (token_valid && !rst) begin
        $display("token %0d", token);
        if (EXPECTED > 0 && (tokens >= EXPECTED || token != expected[tokens][30:0])) wrong = wrong + 1;
        tokens = tokens + 1;
      end
    end
    if (!done) $display("FAIL: the program has not ended after %0d cycles", cycle);
    else if (failed) $display("FAIL: the program has ended with an error, after %0d cycles", cycle);
    else if (wrong != 0 || (EXPECTED > 0 && tokens != EXPECTED)) $display("FAIL: other tokens than expected");
    else $display("PASS: %0d tokens, %0d cycles", tokens, cycle);
    $finish;
  end
endmodule
