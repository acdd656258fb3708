// SPDX-License-Identifier: Apache-2.0
// An SDRAM behind its controller: an AXI4 slave without its constant signals. The part and its model are those that
// `tepin_host.simulation.sdram` chooses.

module sdram_memory #(
    parameter WIDTH = 16
) (
    input logic clk,
    input logic rst,
    input logic arvalid,
    output logic arready,
    input logic arid,
    input logic [31:0] araddr,
    input logic [7:0] arlen,
    input logic [2:0] arsize,
    input logic [1:0] arburst,
    output logic rvalid,
    input logic rready,
    output logic rid,
    output logic [WIDTH-1:0] rdata,
    output logic [1:0] rresp,
    output logic rlast,
    input logic awvalid,
    output logic awready,
    input logic awid,
    input logic [31:0] awaddr,
    input logic [7:0] awlen,
    input logic [2:0] awsize,
    input logic [1:0] awburst,
    input logic wvalid,
    output logic wready,
    input logic [WIDTH-1:0] wdata,
    input logic [WIDTH/8-1:0] wstrb,
    input logic wlast,
    output logic bvalid,
    input logic bready,
    output logic bid,
    output logic [1:0] bresp,
    output logic ready,
    output logic refresh,  // a REFRESH command is at the pins
    output logic [31:0] violations
);
  logic cke, cs_n, ras_n, cas_n, we_n, dq_oe;
  logic [`BANK_BITS-1:0] ba;
  logic [`ADDRESS_WIDTH-1:0] a;
  logic [WIDTH/8-1:0] dqm;
  logic [WIDTH-1:0] dq_o, dq_i;
  logic [19:0] violated;

  assign refresh = {cs_n, ras_n, cas_n, we_n} == 4'b0001;
  assign violations = 32'(violated);

  sdram_controller controller (
      .clk(clk),
      .rst(rst),
      .s_axi_arvalid(arvalid),
      .s_axi_arready(arready),
      .s_axi_arid(arid),
      .s_axi_araddr(araddr),
      .s_axi_arlen(arlen),
      .s_axi_arsize(arsize),
      .s_axi_arburst(arburst),
      .s_axi_arcache(4'b0),
      .s_axi_arprot(3'b0),
      .s_axi_rvalid(rvalid),
      .s_axi_rready(rready),
      .s_axi_rid(rid),
      .s_axi_rdata(rdata),
      .s_axi_rresp(rresp),
      .s_axi_rlast(rlast),
      .s_axi_awvalid(awvalid),
      .s_axi_awready(awready),
      .s_axi_awid(awid),
      .s_axi_awaddr(awaddr),
      .s_axi_awlen(awlen),
      .s_axi_awsize(awsize),
      .s_axi_awburst(awburst),
      .s_axi_awcache(4'b0),
      .s_axi_awprot(3'b0),
      .s_axi_wvalid(wvalid),
      .s_axi_wready(wready),
      .s_axi_wdata(wdata),
      .s_axi_wstrb(wstrb),
      .s_axi_wlast(wlast),
      .s_axi_bvalid(bvalid),
      .s_axi_bready(bready),
      .s_axi_bid(bid),
      .s_axi_bresp(bresp),
      .pins__cke(cke),
      .pins__cs_n(cs_n),
      .pins__ras_n(ras_n),
      .pins__cas_n(cas_n),
      .pins__we_n(we_n),
      .pins__ba(ba),
      .pins__a(a),
      .pins__dqm(dqm),
      .pins__dq_o(dq_o),
      .pins__dq_oe(dq_oe),
      .pins__dq_i(dq_i),
      .ready(ready)
  );

  sdram_model #(
`include "sdram_parameters.svh"
  ) sdram (
      .clk(clk),
      .cke(cke),
      .cs_n(cs_n),
      .ras_n(ras_n),
      .cas_n(cas_n),
      .we_n(we_n),
      .ba(ba),
      .a(a),
      .dqm(dqm),
      .dq_o(dq_o),
      .dq_oe(dq_oe),
      .dq_i(dq_i),
      .stricter('0),
      .error(),
      .violations(violated)
  );
endmodule
