// SPDX-License-Identifier: Apache-2.0
// The chip between registers that C++ sets: at every clock edge `tepin_tick` sees the chip's outputs and decides its inputs.
//
// Driving the inputs from registers in here, rather than as ports from C++, saves Verilator from evaluating everything
// that depends on an input twice per cycle.
//
// With SDRAM, the memory is a controller and a model of the part instead of what C++ sets. With TRACE, C++ is told what goes on
// inside: which commands begin and end, and what the memory port carries.

module harness #(
    parameter WIDTH = 64
) (
    input logic clk,
    input longint unsigned simulation
);
  import "DPI-C" function void tepin_tick(
    input longint unsigned simulation,
    input bit irq,
    input bit probe_valid,
    input bit [31:0] probe_data,
    input bit arvalid,
    input bit arid,
    input bit [31:0] araddr,
    input bit [7:0] arlen,
    input bit rready,
    input bit awvalid,
    input bit awid,
    input bit [31:0] awaddr,
    input bit [7:0] awlen,
    input bit wvalid,
    input bit [WIDTH-1:0] wdata,
    input bit [WIDTH/8-1:0] wstrb,
    input bit bready,
    input bit host_awready,
    input bit host_wready,
    input bit host_bvalid,
    input bit [1:0] host_bresp,
    input bit host_arready,
    input bit host_rvalid,
    input bit [31:0] host_rdata,
    input bit [1:0] host_rresp,
    output bit next_rst,
    output bit next_arready,
    output bit next_rvalid,
    output bit next_rid,
    output bit [WIDTH-1:0] next_rdata,
    output bit [1:0] next_rresp,
    output bit next_rlast,
    output bit next_awready,
    output bit next_wready,
    output bit next_bvalid,
    output bit next_bid,
    output bit [1:0] next_bresp,
    output bit next_host_awvalid,
    output bit next_host_wvalid,
    output bit next_host_arvalid,
    output bit [15:0] next_host_address,
    output bit [31:0] next_host_wdata
  );

`ifdef SERIAL
  import "DPI-C" function void tepin_lane_tick(
    input longint unsigned simulation,
    input bit [16*`LINKS-1:0] tx_data,
    input bit [`LINKS-1:0] tx_strobe,
    input bit [48*`LINKS-1:0] status,
    output bit [16*`LINKS-1:0] next_rx_data,
    output bit [`LINKS-1:0] next_rx_strobe
  );
  logic [16*`LINKS-1:0] tx_data;
  logic [`LINKS-1:0] tx_strobe;
  logic [48*`LINKS-1:0] link_status;
  bit [16*`LINKS-1:0] rx_data, next_rx_data;
  bit [`LINKS-1:0] rx_strobe, next_rx_strobe;

  always @(posedge clk) begin
    tepin_lane_tick(simulation, tx_data, tx_strobe, link_status, next_rx_data, next_rx_strobe);
    rx_data <= next_rx_data;
    rx_strobe <= next_rx_strobe;
  end
`elsif LINKS
  import "DPI-C" function void tepin_link_tick(
    input longint unsigned simulation,
    input bit [`LINKS-1:0] o_valid,
    input bit [64*`LINKS-1:0] o_payload,
    input bit [`LINKS-1:0] i_ready,
    output bit [`LINKS-1:0] next_o_ready,
    output bit [`LINKS-1:0] next_i_valid,
    output bit [64*`LINKS-1:0] next_i_payload
  );
  logic [`LINKS-1:0] link_o_valid, link_i_ready;
  logic [64*`LINKS-1:0] link_o_payload;
  bit [`LINKS-1:0] link_o_ready, link_i_valid, next_link_o_ready, next_link_i_valid;
  bit [64*`LINKS-1:0] link_i_payload, next_link_i_payload;

  always @(posedge clk) begin
    tepin_link_tick(simulation, link_o_valid, link_o_payload, link_i_ready, next_link_o_ready, next_link_i_valid,
                    next_link_i_payload);
    link_o_ready <= next_link_o_ready;
    link_i_valid <= next_link_i_valid;
    link_i_payload <= next_link_i_payload;
  end
`endif

  bit rst = 1;
  bit arready, rvalid, rid, rlast, awready, wready, bvalid, bid;
  bit [WIDTH-1:0] rdata;
  bit [1:0] rresp, bresp;
  bit host_awvalid, host_wvalid, host_arvalid;
  bit [15:0] host_address;
  bit [31:0] host_wdata;

  bit next_rst, next_arready, next_rvalid, next_rid, next_rlast, next_awready, next_wready, next_bvalid, next_bid;
  bit [WIDTH-1:0] next_rdata;
  bit [1:0] next_rresp, next_bresp;
  bit next_host_awvalid, next_host_wvalid, next_host_arvalid;
  bit [15:0] next_host_address;
  bit [31:0] next_host_wdata;

  logic irq, probe_valid, arvalid, arid, rready, awvalid, awid, wvalid, bready;
  logic [31:0] probe_data, araddr, awaddr, host_rdata;
  logic [7:0] arlen, awlen;
  logic [WIDTH-1:0] wdata;
  logic [WIDTH/8-1:0] wstrb;
  logic host_awready, host_wready, host_bvalid, host_arready, host_rvalid;
  logic [1:0] host_bresp, host_rresp;

  // The memory's side of the port.
  logic m_arready, m_rvalid, m_rid, m_rlast, m_awready, m_wready, m_bvalid, m_bid;
  logic [WIDTH-1:0] m_rdata;
  logic [1:0] m_rresp, m_bresp;

`ifdef SDRAM
  logic wlast, sdram_ready, sdram_refresh;
  logic [2:0] arsize, awsize;
  logic [1:0] arburst, awburst;
  logic [31:0] sdram_violations;

  sdram_memory #(
      .WIDTH(WIDTH)
  ) memory (
      .clk(clk),
      .rst(rst),
      .arvalid(arvalid),
      .arready(m_arready),
      .arid(arid),
      .araddr(araddr),
      .arlen(arlen),
      .arsize(arsize),
      .arburst(arburst),
      .rvalid(m_rvalid),
      .rready(rready),
      .rid(m_rid),
      .rdata(m_rdata),
      .rresp(m_rresp),
      .rlast(m_rlast),
      .awvalid(awvalid),
      .awready(m_awready),
      .awid(awid),
      .awaddr(awaddr),
      .awlen(awlen),
      .awsize(awsize),
      .awburst(awburst),
      .wvalid(wvalid),
      .wready(m_wready),
      .wdata(wdata),
      .wstrb(wstrb),
      .wlast(wlast),
      .bvalid(m_bvalid),
      .bready(bready),
      .bid(m_bid),
      .bresp(m_bresp),
      .ready(sdram_ready),
      .refresh(sdram_refresh),
      .violations(sdram_violations)
  );
  import "DPI-C" function void tepin_sdram_tick(
    input longint unsigned simulation,
    input bit ready,
    input bit refresh,
    input bit [31:0] violations
  );
  always @(posedge clk) tepin_sdram_tick(simulation, sdram_ready, sdram_refresh, sdram_violations);
`else
  assign {m_arready, m_rvalid, m_rid, m_rlast, m_rdata, m_rresp} = {arready, rvalid, rid, rlast, rdata, rresp};
  assign {m_awready, m_wready, m_bvalid, m_bid, m_bresp} = {awready, wready, bvalid, bid, bresp};
`endif

`ifdef TRACE
  import "DPI-C" function void tepin_trace_tick(
    input longint unsigned simulation,
    input bit issued,
    input bit [35:0] issue,
    input bit [`ENGINES-1:0] words,
    input bit [32*`ENGINES-1:0] word,
    input bit [`ENGINES-1:0] started,
    input bit [`ENGINES-1:0] waits,
    input bit [`ENGINES-1:0] granted,
    input bit [`ENGINES-1:0] signalled,
    input bit flush,
    input bit stalled,
    input bit [31:0] pc,
    input bit token,
    input bit running,
    input bit [4:0] beats
  );
  logic [`ENGINES-1:0] trace_words, trace_started, trace_waits, trace_granted, trace_signalled;
  logic [32*`ENGINES-1:0] trace_word;
`include "trace_signals.svh"
  always @(posedge clk)
    tepin_trace_tick(
        simulation, chip.controller.queues.i__valid & chip.controller.queues.i__ready, chip.controller.queues.i__payload,
        trace_words, trace_word, trace_started, trace_waits, trace_granted, trace_signalled,
        chip.controller.sequencer.flush, chip.controller.sequencer.stalled, 32'(chip.controller.sequencer.pc),
        chip.controller.tokens.i__valid & chip.controller.tokens.i__ready, chip.controller.counters.enable,
        {arvalid & m_arready, m_rvalid & rready, m_rid, wvalid & m_wready, m_bvalid & bready});
`endif

  always @(posedge clk) begin
    tepin_tick(
        simulation, irq, probe_valid, probe_data, arvalid, arid, araddr, arlen, rready, awvalid, awid, awaddr, awlen,
        wvalid, wdata, wstrb, bready, host_awready, host_wready, host_bvalid, host_bresp, host_arready, host_rvalid,
        host_rdata, host_rresp, next_rst, next_arready, next_rvalid, next_rid, next_rdata, next_rresp, next_rlast,
        next_awready, next_wready, next_bvalid, next_bid, next_bresp, next_host_awvalid, next_host_wvalid,
        next_host_arvalid, next_host_address, next_host_wdata);
    rst <= next_rst;
    arready <= next_arready;
    rvalid <= next_rvalid;
    rid <= next_rid;
    rdata <= next_rdata;
    rresp <= next_rresp;
    rlast <= next_rlast;
    awready <= next_awready;
    wready <= next_wready;
    bvalid <= next_bvalid;
    bid <= next_bid;
    bresp <= next_bresp;
    host_awvalid <= next_host_awvalid;
    host_wvalid <= next_host_wvalid;
    host_arvalid <= next_host_arvalid;
    host_address <= next_host_address;
    host_wdata <= next_host_wdata;
  end

  tepin chip (
`ifdef LINKS
`include "link_ports.svh"
`endif
      .clk(clk),
      .rst(rst),
      .irq(irq),
      .probe_valid(probe_valid),
      .probe_data(probe_data),
      .probe_last(),
      .m_axi_arvalid(arvalid),
      .m_axi_arready(m_arready),
      .m_axi_arid(arid),
      .m_axi_araddr(araddr),
      .m_axi_arlen(arlen),
`ifdef SDRAM
      .m_axi_arsize(arsize),
      .m_axi_arburst(arburst),
      .m_axi_awsize(awsize),
      .m_axi_awburst(awburst),
      .m_axi_wlast(wlast),
`else
      .m_axi_arsize(),
      .m_axi_arburst(),
      .m_axi_awsize(),
      .m_axi_awburst(),
      .m_axi_wlast(),
`endif
      .m_axi_arcache(),
      .m_axi_arprot(),
      .m_axi_rvalid(m_rvalid),
      .m_axi_rready(rready),
      .m_axi_rid(m_rid),
      .m_axi_rdata(m_rdata),
      .m_axi_rresp(m_rresp),
      .m_axi_rlast(m_rlast),
      .m_axi_awvalid(awvalid),
      .m_axi_awready(m_awready),
      .m_axi_awid(awid),
      .m_axi_awaddr(awaddr),
      .m_axi_awlen(awlen),
      .m_axi_awcache(),
      .m_axi_awprot(),
      .m_axi_wvalid(wvalid),
      .m_axi_wready(m_wready),
      .m_axi_wdata(wdata),
      .m_axi_wstrb(wstrb),
      .m_axi_bvalid(m_bvalid),
      .m_axi_bready(bready),
      .m_axi_bid(m_bid),
      .m_axi_bresp(m_bresp),
      .s_axil_awvalid(host_awvalid),
      .s_axil_awready(host_awready),
      .s_axil_awaddr(host_address),
      .s_axil_awprot(3'b0),
      .s_axil_wvalid(host_wvalid),
      .s_axil_wready(host_wready),
      .s_axil_wdata(host_wdata),
      .s_axil_wstrb(4'hf),
      .s_axil_bvalid(host_bvalid),
      .s_axil_bready(1'b1),
      .s_axil_bresp(host_bresp),
      .s_axil_arvalid(host_arvalid),
      .s_axil_arready(host_arready),
      .s_axil_araddr(host_address),
      .s_axil_arprot(3'b0),
      .s_axil_rvalid(host_rvalid),
      .s_axil_rready(1'b1),
      .s_axil_rdata(host_rdata),
      .s_axil_rresp(host_rresp)
  );
endmodule
